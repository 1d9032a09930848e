"""Output of a run on a terminal."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from distreal_sim.base.directory import read_status
from distreal_sim.base.progress import Silent
from distreal_sim.base.text import counted
from distreal_sim.config import Experiment
from distreal_sim.simulation.rows import SUBMODEL, TEST, RoundRow


def rounds_shown(
    experiment: Experiment, progress: Silent, *, every: bool = True
) -> Callable[[RoundRow], None]:
    """A function to be called after every round, which shows it.

    every: where there is no bar, a line for each round, not only now and then.
    """
    name, score = experiment.method.name, ""
    progress.begin(name, experiment.rounds)

    def on_round(row: RoundRow) -> None:
        nonlocal score
        column, value = next(iter(row.scores.items()))
        if value is not None or not score:
            score = f"{said(column)} {'-' if value is None else _brief(value)}"
        facts = f"{score}, simulated {row.sim_s:,.0f} s, {merged(row)}"
        progress.update(row.round, facts)
        text = f"{name}: round {row.round} of {experiment.rounds}, {facts}"
        progress.line(lambda: text, pressing=every)

    return on_round


def said(column: str) -> str:
    """The name of a score in words: `test_macro_f1` is `macro f1`."""
    return column.removeprefix(TEST).replace("_", " ")


def _brief(value: float) -> str:
    """Three decimals, or three digits of numbers beyond them."""
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def merged(row: RoundRow) -> str:
    """How many clients' work went into a round's merge."""
    n_merged = row.n_completed + row.n_partial
    return f"{n_merged} of {row.n_selected} clients merged" if n_merged else "NOTHING MERGED"


def summary(directory: Path) -> str:
    """One line on a finished run."""
    with (directory / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1]
    main = next(column for column in last if column.startswith(TEST))
    outcome = f"test {said(main)} {float(last[main]):.4f}" if last[main] else "not trained"
    part = last[SUBMODEL + main.removeprefix(TEST)]
    if part not in ("", last[main]):
        outcome += f", {float(part):.4f} of the largest part that was trained"
    if not any(int(row["n_completed"]) + int(row["n_partial"]) for row in rows):
        outcome += ", nothing merged"
    ended = read_status(directory / "run.json").get("stopped_early")
    if ended:
        outcome += f", stopped early: {ended}"
    rounds = counted(int(last["round"]), "round")
    return f"{directory}: {rounds}, {float(last['sim_s']):,.0f} simulated s, {outcome}"
