"""Accuracy of the global model by class of the test examples, and over the rounds in the worst classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._beside import shifts
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.runs import Run
from distreal_sim.results.sweep_table import brief

WORST = 10
"""The worst tenth of the classes, rounded up, is followed over the rounds."""

MOST_TICKS = 20
"""Classes that are named on the axis, one by one if there are no more."""


def classes(runs: Sequence[Run], out: Path | None = None) -> Figure:
    """Accuracy of each class in the last test: mean of the seeds, and their range; beside it, over the
    rounds, the mean of the worst tenth of the classes and, thin, of all classes, each class counting alike.

    Raises InputError for a run that did not count by class (`evaluation.classes`).
    """
    groups = group(runs)
    if not groups:
        raise InputError("there is no run to draw")
    tables = {label: [by_class(run) for run in seeds] for label, seeds in groups.items()}
    lines, short = label_lines(groups), brief(list(groups))
    handles = []
    with look():
        figure = Figure(figsize=(7.2, 3.2))
        last, over_rounds = figure.subplots(1, 2, width_ratios=(3, 2), sharey=True)
        for shift, (label, seeds) in zip(shifts(len(tables)), tables.items(), strict=True):
            handles.append(_draw_last(last, seeds, shift, lines[label]))
            followed = zip(*map(worst_and_mean, seeds), strict=True)
            plain = {**lines[label], "marker": ""}
            for rows, style in zip(followed, (plain, plain | {"linewidth": 0.8}), strict=True):
                mean: pd.Series = pd.concat(rows, axis=1).mean(axis=1)
                over_rounds.plot(mean.index, mean, **style)
        last.set(xlabel="Class", ylabel="Test accuracy")
        over_rounds.set(xlabel="Round", ylabel="Worst tenth of the classes (thick)\nand all (thin)")
        last.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))
        over_rounds.xaxis.set_major_locator(MaxNLocator(integer=True))
        last.set_ylim(-0.02, 1.02)
        legend_above(figure, handles, [short[label] for label in tables])
        save(figure, out)
    return figure


def by_class(run: Run) -> pd.DataFrame:
    """(rounds with a test, classes) accuracy; NaN for a class without test examples."""
    path = run.path / "class_scores.csv"
    if not path.exists():
        raise InputError(f"{path} does not exist: classes are counted apart with evaluation.classes: true")
    rows = pd.read_csv(path)
    if rows.empty:
        raise InputError(f"{path} has no test yet")
    return rows.pivot_table(index="round", columns="label", values="accuracy", dropna=False)


def worst_and_mean(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each round the mean of the worst tenth of the classes, rounded up, and of all; table: `by_class`."""
    known = table.dropna(axis=1, how="all")
    n_worst = -(-known.shape[1] // WORST)
    worst = known.apply(lambda row: row.nsmallest(n_worst).mean(), axis=1)
    return worst, known.mean(axis=1)


def _draw_last(axes: Axes, seeds: Sequence[pd.DataFrame], shift: float, line: dict[str, Any]) -> Any:
    rows = pd.concat([table.iloc[-1] for table in seeds], axis=1).dropna(how="all")
    mean = rows.mean(axis=1)
    bars = np.maximum(0.0, [mean - rows.min(axis=1), rows.max(axis=1) - mean])
    style = line | {"linestyle": "", "markersize": 4}
    return axes.errorbar(mean.index.to_numpy() + shift, mean, bars, capsize=2, elinewidth=0.9, **style)
