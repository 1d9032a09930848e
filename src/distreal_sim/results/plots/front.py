"""A front: cost against convergence speed together with uniform rates, and what each entry leaves out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.file import read_front
from distreal_sim.fronts.fresh import is_of_one_score
from distreal_sim.fronts.front import Front
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import method_line
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.runs import Run

Row = Mapping[str, float]
"""relative_macs (the cost of the entry), score and, where given, score_error and share."""

UNIFORM_COLOUR = "#7F7F7F"

LEFT_OUT = "(examples)"
"""A row of the heat map, where entries have shares: 1 - share, beside the drop rates of the layers."""

SAVED = "(memory)"
"""The last row, where the front was made for memory too: the saved share of the full network's."""


def front(runs: Sequence[Run], out: Path | None = None) -> Figure:
    """The front that the runs used. Raises InputError where none did, or not all the same one."""
    paths = [path for run in runs if (path := run.path / "front.json").exists()]
    if not paths:
        raise InputError("none of the runs used a front (front.json)")
    if len({path.read_bytes() for path in paths}) > 1:
        raise InputError(
            f"the runs used different fronts, {paths[0]} and others; a figure shows one: give its file"
        )
    return front_file(paths[0], out)


def front_file(path: Path, out: Path | None = None) -> Figure:
    """The front in a JSON file.

    Scores are relative to the zero vector's. Diamonds are entries for fewer than all steps. Where the front
    and uniform rates were measured on fresh seeds, those scores are drawn with their standard errors, and
    hollow the ones that the search saw, if they are of the same score. From an entry of the full network to
    the next one the line follows fewer full steps, because clients take those. Of a front that was made for
    memory too, the line joins the entries that devices with enough memory use; the others stand alone.
    Raises InputError where the full network makes no progress.
    """
    shown = read_front(path)
    if shown.hypervolume is None:
        raise InputError(f"front {path}: the score of the zero vector must be above 0 for a figure")
    fresh = shown.made.get("reevaluation")
    if isinstance(fresh, Mapping) and not fresh["uniform_entries"][-1]["score"] > 0:
        raise InputError(
            f"front {path}: on fresh seeds the full network makes no progress, so there is nothing to draw "
            "relative to it; measure it from other snapshots"
        )
    with look():
        n_rows = len(shown.groups) + shown.has_shares + shown.has_memory
        figure = Figure(figsize=(5.6, 4.4 + 0.16 * n_rows))
        scores, rates = figure.subplots(2, 1, height_ratios=(2.9, 1.1 + 0.16 * n_rows))
        _scores(scores, shown)
        _rates(figure, rates, shown)
        legend_above(figure, *scores.get_legend_handles_labels())
        figure.draw_without_rendering()  # the layout of a colour bar settles with the second drawing
        save(figure, out)
    return figure


def _scores(axes: Axes, shown: Front) -> None:
    colour = method_line("distreal")[0]
    full = shown.entries[-1]
    own = [
        {"relative_macs": e.macs_per_planned_example / full.macs, "score": e.score, "share": e.share}
        for e in shown.entries
    ]
    fresh = shown.made.get("reevaluation")
    if not isinstance(fresh, Mapping):
        _front_line(axes, own, shown, full.score, {"color": colour, "marker": "o", "label": "front"})
    else:
        uniform = fresh["uniform_entries"]
        steps = fresh.get("fewer_steps_entries")
        zero = uniform[-1]["score"]
        if not shown.is_uniform:
            look_uniform = {"color": UNIFORM_COLOUR, "marker": "s", "label": "uniform rates"}
            _line(axes, uniform, zero, {**look_uniform, "linestyle": (0, (5, 1.5))})
        if steps is not None:
            look_steps = {"color": method_line("fedavg")[0], "marker": "^", "label": "fewer full steps"}
            none = {"relative_macs": 0.0, "score": 0.0}
            _line(
                axes,
                [none, *({**row, "share": 1.0} for row in steps)],
                zero,
                {**look_steps, "linestyle": ":"},
            )
        look_front = {"color": colour, "marker": "o", "label": "front, fresh seeds"}
        _front_line(axes, fresh["entries"], shown, zero, look_front, steps or [])
        if is_of_one_score(shown.made):
            hollow = {"color": colour, "linestyle": "", "marker": "o", "markerfacecolor": "white"}
            _line(axes, own, full.score, {**hollow, "label": "as the search saw it", "zorder": 1.5})
    axes.axhline(0.0, color="0.3", linewidth=0.9)
    axes.set(xlabel="Training MACs relative to the full network", ylabel="Score relative\nto full network")
    axes.set_xlim(0.0, 1.05)


def _front_line(
    axes: Axes,
    rows: Sequence[Row],
    shown: Front,
    zero: float,
    style: Mapping[str, Any],
    steps: Sequence[Row] = (),
) -> None:
    """rows: of the entries, in their order; steps: of fewer full steps."""
    fastest = {(e.counts, e.share) for e in shown.fastest.entries}
    joined = [(e.counts, e.share) in fastest for e in shown.entries]
    own = [row for row, line in zip(rows, joined, strict=True) if line]
    _line(axes, _path(own, steps), zero, style)
    alone = [row for row, line in zip(rows, joined, strict=True) if not line]
    if alone:
        less = {**style, "linestyle": "", "marker": "v", "label": f"{style['label']}, less memory"}
        _line(axes, alone, zero, less)


def _path(rows: Sequence[Row], steps: Sequence[Row]) -> list[Row]:
    """The entries, and fewer full steps between one of the full network and the next entry, because clients
    take those. Their share is NaN, and they have no marker.
    """
    path: list[Row] = []
    known = [{"relative_macs": 0.0, "score": 0.0}, *steps]
    costs, scores = ([row[key] for row in known] for key in ("relative_macs", "score"))
    for row, after in pairwise(rows):
        path.append(row)
        if _is_full(row) and steps:
            first, last = row["relative_macs"], after["relative_macs"]
            taken = [cost for cost in costs if first < cost < last] + [last] * (not _is_full(after))
            heights = np.interp(taken, costs, scores).tolist()
            path += [
                {"relative_macs": cost, "score": height, "share": math.nan}
                for cost, height in zip(taken, heights, strict=True)
            ]
    return [*path, rows[-1]]


def _is_full(row: Row) -> bool:
    """Whether an entry is the full network, of which a share of the steps costs that share."""
    return math.isclose(row["relative_macs"], row.get("share", 1.0), rel_tol=1e-12)


def _line(axes: Axes, rows: Sequence[Row], zero: float, style: Mapping[str, Any]) -> None:
    x = [row["relative_macs"] for row in rows]
    y = [row["score"] / zero for row in rows]
    errors = [row.get("score_error", 0.0) / zero for row in rows]
    shares = [row.get("share", 1.0) for row in rows]
    marked = [index for index, share in enumerate(shares) if not math.isnan(share)]
    whole: dict[str, Any] = {"markersize": 4, "elinewidth": 0.8, "markevery": marked}
    axes.errorbar(x, y, errors if any(errors) else None, **whole, **style)
    fewer = [share < 1 for share in shares]
    if any(fewer):
        above = {"zorder": style.get("zorder", 2) + 0.2, "label": f"{style['label']}, fewer steps"}
        diamonds = {**style, "linestyle": "", "marker": "D", "markersize": 6, **above}
        axes.plot(*np.array([x, y])[:, fewer], **diamonds)


def _rates(figure: Figure, axes: Axes, shown: Front) -> None:
    entries, groups = shown.entries, list(shown.groups)
    rates = np.array([entry.rates for entry in entries]).T
    if shown.has_shares:
        rates = np.vstack([rates, [1 - entry.share for entry in entries]])
        groups.append(LEFT_OUT)
    if shown.has_memory:
        sizes = np.array([entry.memory_bytes or 0 for entry in entries])
        rates = np.vstack([rates, 1 - sizes / sizes[-1]])
        groups.append(SAVED)
    image = axes.imshow(rates, aspect="auto", cmap="cividis_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_yticks(range(len(groups)), groups, fontsize=7)
    every = -(-len(entries) // 12)
    ticks = range(0, len(entries), every)
    full_macs = entries[-1].macs
    axes.set_xticks(ticks, [f"{entries[i].macs_per_planned_example / full_macs:.2f}" for i in ticks])
    axes.grid(False)
    axes.set(xlabel="Entries by their relative training MACs", ylabel="Layer")
    figure.colorbar(image, ax=axes, label="Drop rate")
