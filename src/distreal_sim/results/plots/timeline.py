"""Who works when: a line for each client, a bar for each job, and the server's steps as vertical lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._panels import wrapped
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import time_unit
from distreal_sim.results.runs import Run
from distreal_sim.results.sweep_table import brief

N_ROUNDS = 4
"""Rounds that are drawn, or steps of the server, from the first one on."""

MOST_CLIENTS = 24
"""Clients of a panel: those with most jobs in these rounds."""

_KEPT = LinearSegmentedColormap.from_list("kept", ["#CBE7F8", "#56B4E9", "#00538A"])
_DOWN, _UP = "#C9C9C9", "#6E6E6E"
_LOST: dict[str, Any] = {"facecolor": "none", "edgecolor": "#D98C00", "hatch": "////", "linewidth": 0.8}


def timeline(runs: Sequence[Run], n_rounds: int = N_ROUNDS, out: Path | None = None) -> Figure:
    """The jobs of the first rounds in simulated time: download, computing, upload.

    One run per experiment is drawn, of the lowest seed. Computing is the darker the more channels its steps
    kept on average, and white where none was finished; a hatched job was lost, or cancelled by the server,
    and its part after computing is the wait for the deadline or a late upload. White without a frame is idle.
    Raises InputError where no client had a job.
    """
    drawn = {label: seeds[0] for label, seeds in group(sorted(runs, key=lambda run: run.seed)).items()}
    tables = {label: jobs(run, n_rounds) for label, run in drawn.items()}
    if not any(map(len, tables.values())):
        raise InputError("no client had a job in the first rounds of the runs")
    short = brief(list(tables))
    heights = [1.1 + 0.13 * table["client_id"].nunique() for table in tables.values()]
    scale, unit = time_unit(
        max(float(run.rounds["sim_s"].iloc[:n_rounds].iloc[-1]) for run in drawn.values())
    )
    with look():
        figure = Figure(figsize=(6.2, 0.8 + sum(heights)))
        panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
        for axes, (label, table) in zip(panels, tables.items(), strict=True):
            _draw(axes, table, scale)
            for end_s in drawn[label].rounds["sim_s"].iloc[:n_rounds]:
                axes.axvline(end_s / scale, color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
            if len(tables) > 1:
                axes.set_title(wrapped(short[label].split(", "), width=80))
        panels[-1].set_xlabel(f"Simulated time ({unit})")
        panels[-1].set_xlim(left=0)
        colours = ScalarMappable(Normalize(0, 1), _KEPT)
        figure.colorbar(colours, ax=panels, label="Mean keep rate", fraction=0.04, pad=0.01)
        step = Line2D([], [], color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
        handles = [Patch(color=_DOWN), Patch(color=_UP), Patch(**_LOST), step]
        legend_above(figure, handles, ["download", "upload", "lost", "step of the server"])
        save(figure, out)
    return figure


def jobs(run: Run, n_rounds: int = N_ROUNDS) -> pd.DataFrame:
    """The jobs of a run's first rounds: round, client_id, start_s, end_s, merged, mean_keep_rate, download_s,
    compute_s.

    A client that takes no part in a round has no row.
    """
    rounds = run.rounds.head(n_rounds)
    table = run.clients[run.clients["round"].isin(rounds["round"])].copy()
    if "start_s" not in table:
        starts = rounds.set_index("round")["sim_s"].shift(fill_value=0.0)
        table["start_s"] = table["round"].map(starts)
        table["end_s"] = table["start_s"] + table["sim_s"]
        if "waited_s" in table:
            table["start_s"] += table["waited_s"].fillna(0)
    table["merged"] = table["status"].isin(("completed", "partial"))
    for name in ("cancelled", "refused"):
        if name in table:
            table["merged"] &= table[name].fillna(0) == 0
    most = table["client_id"].value_counts(sort=False).nlargest(MOST_CLIENTS).index
    table = table[(table["end_s"] > table["start_s"]) & table["client_id"].isin(most)]
    columns = ["round", "client_id", "start_s", "end_s", "merged", "mean_keep_rate"]
    columns += ["download_s", "compute_s"]
    return table[columns].reset_index(drop=True)


def _draw(axes: Axes, table: pd.DataFrame, scale: float, colours: Colormap = _KEPT) -> None:
    clients = sorted(table["client_id"].unique())
    rows = {client: row for row, client in enumerate(clients)}
    for job in table.to_dict("records"):
        start_s, end_s, row = job["start_s"], job["end_s"], rows[job["client_id"]]
        stops_s = start_s + job["download_s"] + job["compute_s"]
        parts = [(start_s + job["download_s"], _DOWN), (stops_s, colours(job["mean_keep_rate"]))]
        at_s = start_s
        for to_s, colour in [*parts, (end_s, _UP)] if job["merged"] else parts:
            if to_s > at_s:
                axes.barh(row, (to_s - at_s) / scale, 0.7, at_s / scale, color=colour, linewidth=0)
            at_s = to_s
        if not job["merged"]:
            axes.barh(row, (end_s - start_s) / scale, 0.7, start_s / scale, **_LOST)
    axes.set_yticks(np.arange(len(clients)), [str(client) for client in clients], fontsize=7)
    axes.set(ylabel="Client", ylim=(len(clients) - 0.4, -0.6))
    axes.grid(False)
