"""The check of an experiment: its work, its costs, its time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distreal_sim.base.errors import naming
from distreal_sim.base.process import prepare_process
from distreal_sim.config import Config, Experiment, load_experiment, texts_of
from distreal_sim.config.build import build
from distreal_sim.inspection import cautions
from distreal_sim.inspection.estimate import forecast, measure
from distreal_sim.inspection.network import network_rows
from distreal_sim.inspection.rows import capacity_rows, data_rows, method_rows, sample_there, time_rows
from distreal_sim.inspection.timing import with_costs
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.watch import check_watched


@dataclass(frozen=True, eq=False)
class Check:
    """What an experiment would do; printing it shows what `distreal-sim check` shows.

    rows: pairs of label and text, in the order in which they are shown. clients: a row for each of at most
    MAX_SAMPLE clients, with round 1 as it would be for the client if it were selected; the columns of
    clients.parquet but for round, macs_available and train_loss. steps: measured seconds of a training step,
    with the MACs per example, cheapest first. warnings: what makes the numbers of such a run say less than
    they seem to.
    """

    rows: tuple[tuple[str, str], ...]
    clients: pd.DataFrame
    steps: pd.DataFrame
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"{label:<11} {text}" for label, text in self._shown())

    def print(self, console: Console) -> None:
        """As text, or on a terminal as a table."""
        if not console.is_terminal:
            console.file.write(f"{self}\n")
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for label, text in self._shown():
            grid.add_row(Text(label), Text(text))
        console.print(grid)

    def _shown(self) -> list[tuple[str, str]]:
        """The rows; a label stands in the first of its rows only."""
        labels = [label for label, _ in self.rows]
        return [
            ("" if i and labels[i - 1] == label else label, text) for i, (label, text) in enumerate(self.rows)
        ]


def check(config: Config, **overrides: Any) -> Check:
    """What an experiment would do: clients, costs, simulated and estimated wall time.

    config, overrides: see `load_experiment`. Builds the task, forecasts round 1 and measures a few steps.
    Raises InputError for a config that cannot work.
    """
    experiment, notes = load_experiment(config, texts_of(overrides))
    for note in notes:
        cautions.python_warning(note)
    with naming("check"):
        return make_check(experiment)


def make_check(experiment: Experiment) -> Check:
    """The check of an experiment. Raises InputError for a config that cannot work."""
    prepare_process()
    for tracker in experiment.trackers:
        tracker.check()
    experiment = with_costs(experiment)
    task = build(experiment)
    check_watched(experiment, task.scoring.better)
    round_1 = forecast(experiment, task, sample_there(task))
    parts = (data_rows, network_rows, capacity_rows, method_rows)
    rows = [row for part in parts for row in part(experiment, task, round_1)]
    with naming(f"model {experiment.model.name}, tried on its data,"):
        times = measure(task, select_cohort(experiment, task, 1)[0], round_1)
    rows += time_rows(experiment, task, task.is_narrowed, round_1, times)
    lines = [*cautions.of_task(experiment, task), *cautions.of_round_1(round_1)]
    warnings = tuple(line.removeprefix("warning: ") for line in lines)
    rows += [("warning", line) for line in warnings]
    facts = [asdict(update.facts) for update in round_1]
    clients = pd.DataFrame([row | row.pop("metrics") for row in facts]).drop(columns="train_loss")
    steps = pd.DataFrame(times.steps, columns=["macs_per_example", "wall_s"])
    return Check(tuple(rows), clients, steps, warnings)


def print_check(experiment: Experiment, console: Console) -> None:
    """Prints the check of an experiment."""
    make_check(experiment).print(console)
