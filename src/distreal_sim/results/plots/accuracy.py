"""Test accuracy or another score against simulated time, rounds, computation or upload, one line per run.

The runs of a sweep get a panel for each setting, with the same axes and lines, and one legend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.results.plots._curves import IN_WORDS, Band, Curve, evaluations, mean_curve, name_of
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._panels import Panel, panels_of
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import si_unit, time_unit
from distreal_sim.results.runs import Run, needs_column
from distreal_sim.results.statistics import default_targets, is_share
from distreal_sim.results.sweep_table import brief

AXES = ("sim_s", "round", "macs", "upload_bytes", "energy_j")

LARGE = 1e4
"""Values from here on have k, M, G and so on at the axis."""


def accuracy(
    runs: Sequence[Run],
    x: str = "sim_s",
    targets: Sequence[float] | None = None,
    out: Path | None = None,
    band: Band = "ci",
) -> Figure:
    """Mean test score over seeds with its 95 % t-interval as a band; thin lines mark the targets.

    Which score it is, and whose, the runs say (`Run.y`, `runs.Metric`). band: see `_curves.Band`.
    A score stays at the last evaluation until the next. `targets` defaults to `default_targets`; an
    empty sequence draws none. Raises InputError for an unknown `x` and when no run was evaluated yet.
    """
    if x not in AXES:
        raise unknown("x axis", x, AXES)
    needs_column(runs, x)
    panels = panels_of([run for run in runs if len(run.evaluated)])
    if not panels:
        raise InputError(f"no run has a value of {runs[0].y if runs else 'accuracy'} yet")
    groups = _merged(panel.groups for panel in panels)
    curves = [
        {label: mean_curve([evaluations(run, x) for run in seeds]) for label, seeds in panel.groups.items()}
        for panel in panels
    ]
    every = [curve for below in curves for curve in below.values()]
    bounds = (0.0, 1.0) if all(is_share(run.evaluated[run.y]) for run in runs) else (-np.inf, np.inf)
    size, name = _unit(x, max(float(curve.x[-1]) for curve in every))
    chosen = default_targets(runs) if targets is None else targets
    n_rows, n_columns = 1 + max(p.row for p in panels), 1 + max(p.column for p in panels)
    inches = (
        (5.6, 3.7)
        if len(panels) == 1
        else (
            max(4.2, 0.8 + 2.3 * n_columns),
            1.2 + n_rows * (1.9 + 0.15 * max(panel.title.count("\n") for panel in panels)),
        )
    )
    with look():
        figure = Figure(figsize=inches)
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        lines, texts = label_lines(groups), _legend_texts(panels)
        for panel, below in zip(panels, curves, strict=True):
            axes = grid[panel.row, panel.column]
            for place, (label, line) in enumerate(lines.items()):
                if label in below:
                    _draw(axes, below[label], size, line, texts[label], place / len(lines), bounds, band)
            axes.set(title=panel.title, **_limits(every, size, bounds))
            _draw_targets(axes, chosen)
            if max(float(curve.highest.max()) for curve in every) >= LARGE:
                axes.yaxis.set_major_formatter(EngFormatter())
            if x == "round":
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        what = name_of(runs)
        _name_axes(figure, grid, panels, name, what)
        legend_above(
            figure, _handles(figure, list(texts.values())), list(texts.values()), _legend_title(panels, band)
        )
        save(figure, out)
    return figure


def _merged(several: Iterable[dict[str, list[Run]]]) -> dict[str, list[Run]]:
    """The runs of all panels by label, in the order in which the labels first appear."""
    groups: dict[str, list[Run]] = {}
    for below in several:
        for label, seeds in below.items():
            groups.setdefault(label, []).extend(seeds)
    return groups


def _name_axes(
    figure: Figure, grid: NDArray[np.object_], panels: Sequence[Panel], name: str, what: str
) -> None:
    """Names on the axes of a single panel, or once for all; places without a panel stay empty."""
    if len(panels) == 1:
        grid[0, 0].set(xlabel=name, ylabel=what)
        return
    figure.supxlabel(name, fontsize=9)
    figure.supylabel(what, fontsize=9)
    taken = {(panel.row, panel.column) for panel in panels}
    for (row, column), axes in np.ndenumerate(grid):
        if (row, column) not in taken:
            axes.set_axis_off()
        elif (row + 1, column) not in taken:  # nothing below it
            axes.xaxis.set_tick_params(labelbottom=True)


def _handles(figure: Figure, texts: Sequence[str]) -> list[Any]:
    """One line of each legend text, from the first panel that has it."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(text, handle)
    return [found[text] for text in texts]


def _unit(x: str, largest: float) -> tuple[float, str]:
    if x == "round":
        return 1.0, "Round"
    if x == "sim_s":
        size, unit = time_unit(largest)
        return size, f"Simulated time ({unit})"
    what, of = {"macs": ("Computation", "MAC"), "energy_j": ("Energy", "J")}.get(x, ("Upload", "B"))
    size, unit = si_unit(largest, of)
    return size, f"{what} of all clients ({unit})"


def _draw(
    axes: Axes,
    curve: Curve,
    size: float,
    line: dict[str, Any],
    label: str,
    shift: float,
    bounds: tuple[float, float],
    band: Band,
) -> None:
    """The curve as steps, its band within the bounds.

    `shift` (0 to 1) moves its markers along so that those of other lines show.
    """
    every = max(1, len(curve.x) // 8)
    marks = list(range(int(shift * every), len(curve.x), every))
    x = curve.x / size
    axes.plot(
        x, curve.mean, drawstyle="steps-post", label=label, markevery=marks, markeredgecolor="white",
        markeredgewidth=0.4, **line,
    )  # fmt: skip
    low, high = (np.clip(edge, *bounds) for edge in curve.band(band))
    if np.isfinite(low).any():
        axes.fill_between(x, low, high, step="post", color=line["color"], alpha=0.13, linewidth=0)


def _draw_targets(axes: Axes, targets: Sequence[float]) -> None:
    low, high = axes.get_ylim()
    for target in targets:
        axes.axhline(target, color="0.45", linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            f"{target:g}", (1.0, target), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", va="center", fontsize=7.5, color="0.35",
        )  # fmt: skip
    axes.set_ylim(min([low, *targets]), max([high, *(target + 0.02 for target in targets)]))


def _limits(
    curves: Sequence[Curve], size: float, bounds: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Everything any seed did is in sight; a band may leave (with two seeds it can be 13 times as wide)."""
    low = min(float(curve.lowest.min()) for curve in curves)
    high = max(float(curve.highest.max()) for curve in curves)
    margin = max(0.06 * (high - low), 0.005)
    right = max(float(curve.x[-1]) for curve in curves) / size
    return {
        "xlim": (0.0, right * 1.015),
        "ylim": (max(bounds[0], low - margin), min(bounds[1], high + margin)),
    }


def _legend_texts(panels: Sequence[Panel]) -> dict[str, str]:
    """Legend text by label: the label, and its number of seeds where that is not the same everywhere."""
    counts: dict[str, set[int]] = {}
    for panel in panels:
        for label, seeds in panel.groups.items():
            counts.setdefault(label, set()).add(len(seeds))
    short = brief(counts)
    if len(set().union(*counts.values())) == 1:
        return short
    n = {label: " to ".join(map(str, sorted({min(c), max(c)}))) for label, c in counts.items()}
    return {label: f"{short[label]} (n = {n[label]})" for label in counts}


def _legend_title(panels: Sequence[Panel], band: Band) -> str | None:
    counts = {len(seeds) for panel in panels for seeds in panel.groups.values()}
    if counts == {1}:
        return None
    seeds = f"{counts.pop()} seeds" if len(counts) == 1 else "n seeds"
    return ", ".join([f"mean of {seeds}", *([IN_WORDS[band]] if band in IN_WORDS else [])])
