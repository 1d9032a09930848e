"""MACs that slow, middle and fast devices offered, computed, and saw merged; a panel for each experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._panels import wrapped
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import si_unit
from distreal_sim.results.runs import Run, used_macs
from distreal_sim.results.sweep_table import brief

CLASSES = ("slow", "middle", "fast")

_LOOKS: dict[str, dict[str, Any]] = {
    "offered": {"facecolor": "white", "edgecolor": "0.45", "linewidth": 0.9},
    "used": {"facecolor": "#CBE7F8", "edgecolor": "#56B4E9", "linewidth": 0.9},
    "counted": {"facecolor": "#0072B2", "edgecolor": "#0072B2", "linewidth": 0.9},
}


def work(runs: Sequence[Run], out: Path | None = None) -> Figure:
    """MACs of each class of devices over all rounds, mean over seeds: offered by their capacity until the end
    of the round, used, and counted, which are those of clients whose update was merged.

    Raises InputError where nobody was selected, or a capacity is endless.
    """
    tables = {label: by_class(seeds) for label, seeds in group(runs).items()}
    if not tables:
        raise InputError("there is no run to draw")
    size, unit = si_unit(max(float(table["offered"].max()) for table in tables.values()), "MAC")
    n_columns = min(4, len(tables))
    n_rows = -(-len(tables) // n_columns)
    with look():
        figure = Figure(figsize=(max(4.2, 1.0 + 1.9 * n_columns), 0.9 + 1.9 * n_rows))
        panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (label, table) in zip(panels, tables.items(), strict=False):
            _draw(axes, table, size)
            axes.set_title(wrapped(brief([label])[label].split(", "), width=26))
        for axes in panels[len(tables) :]:
            axes.set_axis_off()
        figure.supxlabel("Third of the devices, by capacity", fontsize=9)
        figure.supylabel(f"Work ({unit})", fontsize=9)
        legend_above(figure, [Patch(**look_of) for look_of in _LOOKS.values()], list(_LOOKS))
        save(figure, out)
    return figure


def by_class(seeds: Sequence[Run]) -> pd.DataFrame:
    """(3 rows, by class) columns offered, used, counted: MACs of one run, mean over the seeds.

    The classes are thirds of the clients that were selected, by the MACs that they offered a second; of equal
    clients those with the lower numbers are slower.
    """
    found = []
    for run in seeds:
        rows = run.clients
        if rows.empty or not np.isfinite(rows["macs_available"]).all():
            raise InputError(f"{run.path}: nobody was selected, or a client's capacity is endless")
        used = used_macs(rows)
        table = pd.DataFrame(
            {
                "client_id": rows["client_id"],
                "offered": rows["macs_available"],
                "used": used,
                "counted": used.where(rows["status"].isin(("completed", "partial")), 0),
                "length_s": _lengths_s(run, rows),
            }
        )
        clients = table.groupby("client_id").sum()
        order = np.argsort((clients["offered"] / clients["length_s"]).to_numpy(), kind="stable")
        thirds = np.empty(len(order), np.int64)
        thirds[order] = 3 * np.arange(len(order)) // len(order)
        found.append(clients[[*_LOOKS]].groupby(thirds).sum().reindex(range(3), fill_value=0))
    mean = sum(found[1:], found[0]) / len(found)
    return pd.DataFrame(mean.set_axis([*CLASSES]))


def _lengths_s(run: Run, rows: pd.DataFrame) -> pd.Series:
    """Seconds in which each row's MACs were offered."""
    if "end_s" in rows:
        return rows["end_s"] - rows["start_s"]
    return rows["round"].map(
        run.rounds.set_index("round")["sim_s"].diff().fillna(run.rounds["sim_s"].iloc[0])
    )


def _draw(axes: Axes, table: pd.DataFrame, size: float) -> None:
    for name, look_of in _LOOKS.items():
        axes.bar(range(3), table[name] / size, 0.72, **look_of)
    axes.set_xticks(range(3), CLASSES)
    axes.grid(False)
