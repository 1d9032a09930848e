"""Participation of the selected clients, and use of the computation they offered; one panel each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._panels import wrapped
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.runs import Run, used_macs
from distreal_sim.results.sweep_table import brief

# Blues and orange after Okabe and Ito; all three differ in lightness too, for print without colour.
_FATES = {"completed": "#56B4E9", "partial": "#CBE7F8", "dropped": "#D98C00"}
_MOST_BINS = 60
_SUMS = ["n_selected", *(f"n_{fate}" for fate in _FATES), "used", "macs_available"]


def participation(runs: Sequence[Run], out: Path | None = None) -> Figure:
    """Shares of the selected clients that completed, took part partially or were dropped, over the rounds.

    The rest diverged. A line shows the share of the offered MACs that was used. All seeds of an
    experiment are pooled; more than 60 rounds are pooled into bins of equally many. Raises InputError when
    there is no run.
    """
    if not runs:
        raise InputError("there is no run to draw")
    groups = group(runs)
    rows = -(-len(groups) // 4)
    columns = -(-len(groups) // rows)
    with look():
        figure = Figure(figsize=(max(4.2, 1.0 + 2.1 * columns), 0.9 + 1.9 * rows))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for place, (label, seeds) in enumerate(groups.items()):
            _draw(panels[place], label, seeds)
            if place + columns >= len(groups):  # nothing below it
                panels[place].xaxis.set_tick_params(labelbottom=True)
        for panel in panels[len(groups) :]:
            panel.set_axis_off()
        figure.supxlabel("Round", fontsize=9)
        figure.supylabel("Share", fontsize=9)
        handles = [Patch(color=colour) for colour in _FATES.values()]
        used = Line2D([], [], color="black")
        legend_above(figure, [*handles, used], [*(f"{fate} clients" for fate in _FATES), "offered MACs used"])
        save(figure, out)
    return figure


def shares(seeds: Sequence[Run]) -> pd.DataFrame:
    """Shares pooled over `seeds` and, beyond 60 rounds, over bins of rounds.

    Rows: bins. Columns: `first_round`, `last_round`, the fates as shares of the selected clients, and `used`,
    the share of the offered MACs; NaN where nobody was selected or nothing was offered.
    """
    rounds = pd.concat([run.rounds for run in seeds])
    per_bin = -(-int(rounds["round"].max()) // _MOST_BINS)
    bins = (rounds["round"] - 1) // per_bin
    sums = rounds.assign(used=used_macs(rounds))[_SUMS].groupby(bins).sum()
    table = pd.DataFrame(
        {
            "first_round": rounds["round"].groupby(bins).min(),
            "last_round": rounds["round"].groupby(bins).max(),
        }
    )
    for fate in _FATES:
        table[fate] = sums[f"n_{fate}"] / sums["n_selected"]
    table["used"] = sums["used"] / sums["macs_available"]
    return table.replace([np.inf, -np.inf], np.nan).reset_index(drop=True)


def _draw(axes: Axes, label: str, seeds: Sequence[Run]) -> None:
    table = shares(seeds)
    edges = np.append(table["first_round"].to_numpy(), table["last_round"].iloc[-1] + 1) - 0.5
    floor = np.zeros(len(table))
    for fate, colour in _FATES.items():
        top = floor + table[fate].fillna(0).to_numpy()
        axes.stairs(top, edges, baseline=floor, fill=True, color=colour, linewidth=0)
        floor = top
    axes.stairs(table["used"].to_numpy(), edges, baseline=None, color="white", linewidth=2.4)
    axes.stairs(table["used"].to_numpy(), edges, baseline=None, color="black", linewidth=1.3)
    axes.set_title(wrapped(brief([label])[label].split(", "), width=26))
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, max(1.0, 1.05 * float(table["used"].max()))))
    axes.grid(False)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
