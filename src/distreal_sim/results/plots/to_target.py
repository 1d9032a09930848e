"""What each method spends until its score is that of a target: time, MACs, bytes and joules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import si_unit, time_unit
from distreal_sim.results.protocols import cost, costs_of, points
from distreal_sim.results.runs import Run
from distreal_sim.results.statistics import default_targets
from distreal_sim.results.sweep_table import brief

NAMES = {
    "sim_s": "Simulated time ({})",
    "macs": "Computation ({})",
    "download_bytes": "Download ({})",
    "upload_bytes": "Upload ({})",
    "energy_j": "Energy ({})",
}

UNITS = {"macs": "MAC", "download_bytes": "B", "upload_bytes": "B", "energy_j": "J"}


def to_target(runs: Sequence[Run], target: float | None = None, out: Path | None = None) -> Figure:
    """Costs at the first test that is as good as the target, of all clients since the start; medians over the
    seeds, `> end` where half of them or more never get there.

    target: by default the highest round accuracy that all seeds of all experiments reach. Raises InputError
    where there is none.
    """
    tested = [run for run in runs if len(run.evaluated)]
    if target is None:
        found = default_targets(tested)
        if not found:
            raise InputError("a target is needed, such as --target 0.8: no round accuracy is in reach of all")
        target = found[0]
    labelled = [run for label, seeds in group(tested).items() for run in seeds]
    table = points(labelled).assign(method=[run.label for run in labelled for _ in range(len(run.evaluated))])
    spent = cost(table.assign(setting=""), target, hold=1, lower=tested[0].lower).set_index("method")
    names = [name for name in costs_of(table) if name in NAMES]
    labels = [label for label in group(tested) if label in spent.index]
    short, lines = brief(labels), label_lines(group(tested))
    n_columns = min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    with look():
        figure = Figure(figsize=(1.6 + 2.1 * n_columns, 0.7 + n_rows * (0.8 + 0.26 * len(labels))))
        panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            values = spent.loc[labels, name].to_numpy(float)
            _draw(axes, name, values, [str(lines[label]["color"]) for label in labels])
            axes.set_yticks(range(len(labels)), [short[label] for label in labels])
            axes.set_ylim(len(labels) - 0.4, -0.6)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        what = tested[0].y.replace("_", " ")
        figure.suptitle(f"until a test {what} of {target:g}", fontsize=9)
        figure.supylabel(" ", fontsize=2)
        save(figure, out)
    return figure


def _draw(axes: Axes, name: str, values: np.ndarray, colours: Sequence[str]) -> None:
    largest = float(np.max(values[np.isfinite(values)], initial=0.0))
    size, unit = time_unit(largest) if name == "sim_s" else si_unit(largest, UNITS[name])
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        if math.isfinite(value):
            axes.barh(row, value / size, 0.62, color=colour)
        else:
            axes.annotate("> end", (0, row), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlabel(NAMES[name].format(unit))
    axes.set_xlim(0, 1.05 * largest / size or 1)
    axes.grid(axis="y", visible=False)
