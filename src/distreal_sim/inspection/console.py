"""Output of a run on a terminal."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distreal_sim.base.progress import Paced
from distreal_sim.config import Experiment
from distreal_sim.simulation.rows import RoundRow


@contextlib.contextmanager
def progress_bar(experiment: Experiment, quiet: bool) -> Iterator[Callable[[RoundRow], None]]:
    """Yields a function to be called after every round; a bar on a terminal, otherwise few lines."""
    if quiet:
        yield lambda row: None
        return
    if not sys.stderr.isatty():
        yield round_lines(experiment, Paced())
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("accuracy {task.fields[accuracy]}  simulated {task.fields[sim]}  {task.fields[merged]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(
            experiment.method.name, total=experiment.rounds, accuracy="-", sim="0 s", merged=""
        )

        def on_round(row: RoundRow) -> None:
            bar.update(task, completed=row.round, sim=f"{row.sim_s:,.0f} s", merged=merged(row))
            if row.test_accuracy is not None:
                bar.update(task, accuracy=f"{row.test_accuracy:.3f}")

        yield on_round


def merged(row: RoundRow) -> str:
    """How many clients' work went into a round's merge."""
    n_merged = row.n_completed + row.n_partial
    return f"{n_merged} of {row.n_selected} clients merged" if n_merged else "NOTHING MERGED"


def round_lines(experiment: Experiment, paced: Paced) -> Callable[[RoundRow], None]:
    """Prints a line after a round, when one is due."""
    accuracy = "-"

    def on_round(row: RoundRow) -> None:
        nonlocal accuracy
        if row.test_accuracy is not None:
            accuracy = f"{row.test_accuracy:.3f}"
        paced.line(
            f"{experiment.method.name}: round {row.round} of {experiment.rounds}, accuracy {accuracy}, "
            f"simulated {row.sim_s:,.0f} s, {merged(row)}"
        )

    return on_round


def summary(directory: Path) -> str:
    """One line on a finished run."""
    with (directory / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1]
    outcome = f"test accuracy {float(last['test_accuracy']):.4f}" if last["test_accuracy"] else "not trained"
    if last["submodel_accuracy"] not in ("", last["test_accuracy"]):
        outcome += f", {float(last['submodel_accuracy']):.4f} of the largest part that was trained"
    if not any(int(row["n_completed"]) + int(row["n_partial"]) for row in rows):
        outcome += ", nothing merged"
    return f"{directory}: {last['round']} rounds, {float(last['sim_s']):,.0f} simulated s, {outcome}"
