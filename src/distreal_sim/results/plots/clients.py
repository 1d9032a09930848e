"""Scores of the global model on the clients' own examples: by class of device, and client by client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._beside import shifts
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.runs import Run
from distreal_sim.results.sweep_table import brief

CLASSES = ("slow", "middle", "fast")

SCORES = ["client_id", "device_class", "score"]


def clients(runs: Sequence[Run], out: Path | None = None) -> Figure:
    """The last test of each client: mean by class of device, with the 10th to the 90th percentile, and all
    clients from the worst to the best. The clients of all seeds are pooled.

    Raises InputError for a run that tested no clients (`evaluation.clients`).
    """
    groups = group(runs)
    if not groups:
        raise InputError("there is no run to draw")
    tables = {label: pd.concat(list(map(last_scores, seeds))) for label, seeds in groups.items()}
    lines, short = label_lines(groups), brief(list(groups))
    handles = []
    with look():
        figure = Figure(figsize=(6.6, 3.2))
        by_class, by_client = figure.subplots(1, 2, sharey=True)
        for shift, (label, table) in zip(shifts(len(tables)), tables.items(), strict=True):
            handles.append(_draw_classes(by_class, table, shift, lines[label]))
            scores = np.sort(table["score"].dropna().to_numpy())
            share = (np.arange(len(scores)) + 0.5) / max(1, len(scores))
            plain = {**lines[label], "marker": ""}
            by_client.plot(share, scores, **plain)
        by_class.set_xticks(range(len(CLASSES)), CLASSES)
        by_class.set(xlabel="Third of the devices, by capacity", ylabel=f"{_name(runs)} on own examples")
        by_client.set(xlabel="Share of the clients, worst first", ylabel=f"{_name(runs)} of one client")
        by_client.set_xlim(0, 1)
        legend_above(figure, handles, [short[label] for label in tables])
        save(figure, out)
    return figure


def last_scores(run: Run) -> pd.DataFrame:
    """client_id, device_class and score of each tested client, in the last round with a test."""
    path = run.path / "client_scores.csv"
    if not path.exists():
        raise InputError(f"{path} does not exist: clients are tested with evaluation.clients: all")
    rows = pd.read_csv(path)
    if run.y not in rows or rows.empty:
        raise InputError(f"{path} has no {run.y} of a client yet")
    last = rows[rows["round"] == rows["round"].max()]
    return pd.DataFrame(last[["client_id", "device_class", run.y]].set_axis(SCORES, axis=1))


def _draw_classes(axes: Axes, table: pd.DataFrame, shift: float, line: dict[str, Any]) -> Any:
    groups = [table.loc[table["device_class"] == name, "score"].dropna().to_numpy() for name in CLASSES]
    there = [place for place, own in enumerate(groups) if len(own)]
    means = np.array([groups[place].mean() for place in there])
    low, high = (np.array([np.percentile(groups[place], q) for place in there]) for q in (10, 90))
    bars = np.maximum(0.0, [means - low, high - means])  # a mean may lie beyond a percentile
    return axes.errorbar(
        np.array(there) + shift, means, bars, capsize=2, elinewidth=0.9, **(line | {"linestyle": ""})
    )


def _name(runs: Sequence[Run]) -> str:
    return runs[0].y.replace("_", " ").capitalize()
