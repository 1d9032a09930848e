"""Test accuracy against simulated time, rounds, computation or upload: one line per experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distreal_sim.errors import InputError, unknown
from distreal_sim.plots._curves import Curve, evaluations, mean_curve
from distreal_sim.plots._legend import legend_above
from distreal_sim.plots._lines import label_lines
from distreal_sim.plots._save import look, save
from distreal_sim.plots._units import si_unit, time_unit
from distreal_sim.runs import Run, group
from distreal_sim.tables import default_targets

AXES = ("sim_s", "round", "macs", "upload_bytes")


def accuracy(
    runs: Sequence[Run],
    x: str = "sim_s",
    targets: Sequence[float] | None = None,
    out: Path | None = None,
) -> Figure:
    """Mean test accuracy over seeds with its 95 % t-interval as a band; thin lines mark the targets.

    Accuracy stays at the last evaluation until the next. `targets` defaults to `default_targets`; an
    empty sequence draws none. Raises InputError for an unknown `x` and when no run was evaluated yet.
    """
    if x not in AXES:
        raise unknown("x axis", x, AXES)
    groups = group(run for run in runs if len(run.evaluated))
    if not groups:
        raise InputError("no run has a test accuracy yet")
    curves = {label: mean_curve([evaluations(run, x) for run in seeds]) for label, seeds in groups.items()}
    size, name = _unit(x, max(float(curve.x[-1]) for curve in curves.values()))
    with look():
        figure = Figure(figsize=(5.6, 3.7))
        axes = figure.add_subplot()
        for place, (label, line) in enumerate(label_lines(groups).items()):
            _draw(axes, curves[label], size, line, _legend_text(label, groups), place / len(groups))
        axes.set(xlabel=name, ylabel="Test accuracy", **_limits(curves, size))
        if x == "round":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _draw_targets(axes, default_targets(runs) if targets is None else targets)
        legend_above(figure, *axes.get_legend_handles_labels(), title=_legend_title(groups))
        save(figure, out)
    return figure


def _unit(x: str, largest: float) -> tuple[float, str]:
    if x == "round":
        return 1.0, "Round"
    if x == "sim_s":
        size, unit = time_unit(largest)
        return size, f"Simulated time ({unit})"
    size, unit = si_unit(largest, "MAC" if x == "macs" else "B")
    return size, f"{'Computation' if x == 'macs' else 'Upload'} of all clients ({unit})"


def _draw(axes: Axes, curve: Curve, size: float, line: dict[str, Any], label: str, shift: float) -> None:
    """The curve as steps; `shift` (0 to 1) moves its markers along so that those of other lines show."""
    every = max(1, len(curve.x) // 8)
    marks = list(range(int(shift * every), len(curve.x), every))
    x = curve.x / size
    axes.plot(
        x, curve.mean, drawstyle="steps-post", label=label, markevery=marks, markeredgecolor="white",
        markeredgewidth=0.4, **line,
    )  # fmt: skip
    if np.isfinite(curve.half).any():
        low, high = np.clip(curve.mean - curve.half, 0, 1), np.clip(curve.mean + curve.half, 0, 1)
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


def _limits(curves: dict[str, Curve], size: float) -> dict[str, tuple[float, float]]:
    """Everything any seed did is in sight; a band may leave (with two seeds it can be 13 times as wide)."""
    low = min(float(curve.lowest.min()) for curve in curves.values())
    high = max(float(curve.highest.max()) for curve in curves.values())
    margin = max(0.06 * (high - low), 0.005)
    right = max(float(curve.x[-1]) for curve in curves.values()) / size
    return {"xlim": (0.0, right * 1.015), "ylim": (max(0.0, low - margin), min(1.0, high + margin))}


def _legend_text(label: str, groups: dict[str, list[Run]]) -> str:
    one_count = len({len(seeds) for seeds in groups.values()}) == 1
    return label if one_count else f"{label} (n = {len(groups[label])})"


def _legend_title(groups: dict[str, list[Run]]) -> str | None:
    counts = {len(seeds) for seeds in groups.values()}
    if counts == {1}:
        return None
    seeds = f"{counts.pop()} seeds" if len(counts) == 1 else "n seeds"
    return f"mean of {seeds}, band: 95 % interval"
