"""What `check` says of measured costs: the share of MACs and of time of each level, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console

from distreal_sim.base.text import add_row, compact, percent, wide
from distreal_sim.base.text import table as text_table
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.charges import described_levels
from distreal_sim.submodels.levels import Level, PerStep, charged
from distreal_sim.thinning.measured.table import CostTable, TimedLevel

MAX_LEVELS = 20
"""Levels that are listed one by one; of more, so many evenly spread."""


def cost_rows(experiment: Experiment, task: Task) -> Iterator[tuple[str, str]]:
    """Pairs of label and text; none where steps cost their MACs."""
    table, charges = experiment.costs, task.charges
    if table is None or charges is None:
        return
    yield "cost", f"the time of a step, {_whence(experiment)}, in place of its MACs"
    yield "cost", made_by(table)
    levels = described_levels(experiment.method, task)
    different = list({(level.counts, level.trained): level for level in levels}.values())
    for level in _some(different):
        timed = charges.level(level.counts, level.trained)
        yield "cost", f"{percent(timed.macs_share)} of the full MACs: {shares(timed)}"
    if len(different) > MAX_LEVELS:
        yield "cost", f"({MAX_LEVELS} of {len(different)} levels are listed)"
    choices = experiment.method.levels(task)
    if isinstance(choices, PerStep):
        n_worth = len(charged(task, choices).levels)
        if n_worth < len(levels):
            n_left = len(levels) - n_worth
            yield "cost", f"{n_left} of {len(levels)} are never taken: a larger one takes no longer"


def made_by(table: CostTable) -> str:
    """Where and when it was measured, and of which steps."""
    made = table.made
    cores, date = made.get("cores", "?"), made.get("date", "an unknown date")
    settings = "; ".join(map(str, sorted({level.key.setting for level in table.levels})))
    return f"{made.get('processor', 'unknown processor')}, {cores} cores, {date}; {settings}"


def shares(timed: TimedLevel) -> str:
    """The share of the full step's time, with the quartiles over the repeats."""
    time_share = float(timed.time_share)
    return f"{percent(time_share)} of the time (quartiles {percent(timed.low)} to {percent(timed.high)})"


def print_costs(table: CostTable, console: Console) -> None:
    """Prints where and when it was measured, and a row for each level."""
    shown = text_table(made_by(table), "MACs|% of full|% of time|quartiles|ms a step|batch|<kept channels")
    for level in table.levels:
        percents = (f"{100 * x:.1f}" for x in (level.macs_share, float(level.time_share)))
        quartiles = f"{100 * level.low:.1f} to {100 * level.high:.1f}"
        kept = compact(level.key.kept) + ("" if level.key.trained is None else ", a part of them trained")
        cells = (quartiles, f"{1000 * level.step_wall_s:.3g}", level.key.setting.batch_size, kept)
        add_row(shown, level.macs_per_example, *percents, *cells)
    wide(console).print(shown)


def _whence(experiment: Experiment) -> str:
    if experiment.cost != "measured":
        return f"from {experiment.cost}"
    return "measured just now (a run measures on its own machine, so its times differ from these)"


def _some(levels: Sequence[Level]) -> list[Level]:
    places = np.unique(np.linspace(0, len(levels) - 1, MAX_LEVELS).round())
    return [levels[int(place)] for place in places]
