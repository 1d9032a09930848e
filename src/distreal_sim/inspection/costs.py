"""What `check` says of measured costs: the share of MACs and of time of each level, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console

from distreal_sim.base.text import add_row, compact, counted, percent, show
from distreal_sim.base.text import table as text_table
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.charges import described_levels, examples_a_step
from distreal_sim.inspection.calibration import Calibration
from distreal_sim.methods import levels_of
from distreal_sim.submodels.levels import Level, PerStep, charged
from distreal_sim.thinning.measured.step_times import Errors
from distreal_sim.thinning.measured.table import CostTable, TimedLevel

MAX_LEVELS = 20
"""Levels that are listed one by one; of more, so many evenly spread."""


def cost_rows(experiment: Experiment, task: Task) -> Iterator[tuple[str, str]]:
    """Pairs of label and text; none where steps cost their MACs."""
    table, device, charges = experiment.costs, experiment.cost_device, task.charges
    if charges is None:
        return
    yield "cost", f"the time of a step, {_whence(experiment)}, in place of its MACs"
    if table is not None:
        yield "cost", made_by(table)
    if device is not None and charges.macs_per_s is not None:
        yield "cost", f"predicted for {device.title}, {device.made.get('date', 'an unknown date')}"
        n_examples = examples_a_step(task)
        step_s = charges.full_macs * n_examples / charges.macs_per_s
        yield (
            "cost",
            f"a full step of {n_examples:.3g} examples, the mean, takes it {1000 * step_s:.4g} ms: it is a "
            f"client of {charges.macs_per_s:.5g} MAC/s",
        )
    levels = described_levels(experiment.method, task)
    different = list({(level.counts, level.trained): level for level in levels}.values())
    for level in _some(different):
        timed = charges.level(level.counts, level.trained)
        yield "cost", f"{percent(timed.macs_share)} of the full MACs: {shares(timed)}"
    if len(different) > MAX_LEVELS:
        yield "cost", f"({MAX_LEVELS} of {len(different)} levels are listed)"
    choices = levels_of(experiment.method, task)
    if isinstance(choices, PerStep) and not (task.front is not None and task.front.has_memory):
        choices = charged(task, choices)
        assert isinstance(choices, PerStep)
        n_left = len(levels) - len(choices.worth_choosing)
        if n_left > 0:
            yield "cost", f"{n_left} of {len(levels)} are never taken: a larger one takes no longer"


def made_by(table: CostTable) -> str:
    """Where and when it was measured, and of which steps."""
    made = table.made
    cores, date = made.get("cores", "?"), made.get("date", "an unknown date")
    settings = "; ".join(map(str, sorted({level.key.setting for level in table.levels})))
    return f"{made.get('processor', 'unknown processor')}, {cores} cores, {date}; {settings}"


def shares(timed: TimedLevel) -> str:
    """The share of the full step's time, with the quartiles over the repeats if it was measured."""
    time_share = float(timed.time_share)
    if timed.low == timed.high == time_share != 1:
        return f"{percent(time_share)} of the time"
    return f"{percent(time_share)} of the time (quartiles {percent(timed.low)} to {percent(timed.high)})"


def print_calibration(found: Calibration, console: Console) -> None:
    """Prints the times of each kind of layer, and how good they are."""
    columns = "<kind of layer|us a pass|ns a 1000 MACs|ns a 1000 bytes"
    shown = text_table(found.device.title, columns)
    for kind, own in found.device.step_times.items():
        cells = (1e6 * own["call_s"], 1e12 * own["mac_s"], 1e12 * own["byte_s"])
        add_row(shown, kind, *(f"{cell:.3g}" for cell in cells))
    show(console, shown)
    unseen = sum(not own.fitted for own in found.steps)
    fitted = f"its {counted(len(found.steps), 'step')}"
    which = f"{counted(unseen, 'step')} that the fit has not seen" if unseen else fitted
    print(f"error of predicted times, {which}: {_errors(found.held_out)}")
    print(f"of a fit of MACs alone: {_errors(found.macs_alone)}")


def _errors(own: Errors) -> str:
    return f"median {percent(own.median)}, 90th percentile {percent(own.p90)}"


def print_costs(table: CostTable, console: Console) -> None:
    """Prints where and when it was measured, and a row for each level."""
    shown = text_table(made_by(table), "MACs|% of full|% of time|quartiles|ms a step|batch|<kept channels")
    for level in table.levels:
        percents = (f"{100 * x:.1f}" for x in (level.macs_share, float(level.time_share)))
        quartiles = f"{100 * level.low:.1f} to {100 * level.high:.1f}"
        kept = compact(level.key.kept) + ("" if level.key.trained is None else ", a part of them trained")
        cells = (quartiles, f"{1000 * level.step_wall_s:.3g}", level.key.setting.batch_size, kept)
        add_row(shown, level.macs_per_example, *percents, *cells)
    show(console, shown)


def _whence(experiment: Experiment) -> str:
    if experiment.cost != "measured":
        return f"from {experiment.cost}"
    return "measured just now (a run measures on its own machine, so its times differ from these)"


def _some(levels: Sequence[Level]) -> list[Level]:
    places = np.unique(np.linspace(0, len(levels) - 1, MAX_LEVELS).round())
    return [levels[int(place)] for place in places]
