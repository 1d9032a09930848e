"""One client: the capacity it had, the share of the model it trained and the time that took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import group
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import si_unit, time_unit
from distreal_sim.results.runs import Run


def capacity(runs: Sequence[Run], client_id: int | None = None, out: Path | None = None) -> Figure:
    """Mean capacity in each round in which the client was selected, the MAC/s used, keep rate, and time.

    One run per experiment is drawn, of the lowest seed, since another seed has other capacities. A bar
    spans its round and shows MACs offered / length; a marker, what the method used of it. Markers are
    hollow where the update was lost, and smaller for later labels, so that equal values all show.
    `client_id` defaults to the client selected most often; InputError for one that never was.
    """
    drawn = {label: seeds[0] for label, seeds in group(sorted(runs, key=lambda run: run.seed)).items()}
    tables = {label: _client_rounds(run) for label, run in drawn.items()}
    counts = Counter(int(c) for table in tables.values() for c in table["client_id"])
    if not counts:
        raise InputError("no client was selected in any of the runs")
    chosen = min(counts, key=lambda c: (-counts[c], c)) if client_id is None else client_id
    if chosen not in counts:
        raise InputError(f"client {chosen} was never selected (clients: {_ranges(sorted(counts))})")
    tables = {
        label: table[table["client_id"] == chosen]
        for label, table in tables.items()
        if (table["client_id"] == chosen).any()
    }
    lines = label_lines({label: [drawn[label]] for label in tables})
    together = pd.concat(list(tables.values()))
    time_size, time_name = time_unit(float(together["end_s"].max()))
    rates = together[["capacity", "used"]].to_numpy()
    rate_size, rate_name = si_unit(float(np.max(rates[np.isfinite(rates)], initial=0.0)), "MAC/s")
    with look():
        figure = Figure(figsize=(5.6, 5.2))
        offered, kept, took = figure.subplots(3, 1, sharex=True)
        _bars(offered, together, time_size, rate_size)
        for place, (label, table) in enumerate(tables.items()):
            x = table["middle_s"] / time_size
            line = lines[label] | {"markersize": lines[label]["markersize"] * (1.5 - place / len(tables))}
            _marks(offered, x, table["used"] / rate_size, table["status"], line)
            _marks(kept, x, table["mean_keep_rate"], table["status"], line)
            _marks(took, x, table["sim_s"], table["status"], line)
            kept.plot([], [], label=label, **(lines[label] | {"linestyle": ""}))
        if (together["status"] == "dropped").any():
            hollow = {"marker": "o", "color": "0.4", "markerfacecolor": "white"}
            kept.plot([], [], linestyle="", label="update lost", **hollow)
        for deadline_s in together["deadline_s"].unique():
            took.axhline(deadline_s, color="0.3", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        offered.set(ylabel=f"Offered (grey)\nand used ({rate_name})", title=f"client {chosen}")
        offered.set_ylim(bottom=0)
        kept.set(ylabel="Mean keep rate", ylim=(0, 1.06))
        took.set(ylabel="Time in round (s)\n(dashed: deadline)", xlabel=f"Simulated time ({time_name})")
        took.set_ylim(bottom=0)
        legend_above(figure, *kept.get_legend_handles_labels())
        save(figure, out)
    return figure


def _client_rounds(run: Run) -> pd.DataFrame:
    """Rows of `run.clients` with `start_s`, `middle_s`, `end_s` of their round, and, in MAC/s over it,
    the `capacity` that was offered and the rate `used`.
    """
    end_s = run.rounds.set_index("round")["sim_s"]
    start_s = end_s.shift(fill_value=0.0)
    table = run.clients
    table = table[table["round"].isin(end_s.index)].copy()
    table["start_s"], table["end_s"] = table["round"].map(start_s), table["round"].map(end_s)
    table["middle_s"] = (table["start_s"] + table["end_s"]) / 2
    table["capacity"] = table["macs_available"] / (table["end_s"] - table["start_s"])
    table["used"] = table["macs"] / (table["end_s"] - table["start_s"])
    return table.assign(deadline_s=float(run.config["deadline_s"]))


def _bars(axes: Axes, table: pd.DataFrame, time_size: float, rate_size: float) -> None:
    """The offered MACs: the same for every method, so drawn once; unlimited capacity has no bar."""
    once = table[np.isfinite(table["capacity"])].drop_duplicates(["start_s", "end_s", "capacity"])
    visible_s = 0.006 * float(table["end_s"].max())  # in a long run a round is thinner than a pixel
    width_s = (once["end_s"] - once["start_s"]).clip(lower=visible_s)
    left_s = (once["start_s"] + once["end_s"] - width_s) / 2
    axes.bar(
        left_s / time_size, once["capacity"] / rate_size, width_s / time_size, align="edge", color="0.8",
        linewidth=0,
    )  # fmt: skip


def _marks(axes: Axes, x: pd.Series, y: pd.Series, status: pd.Series, line: dict[str, Any]) -> None:
    lost = (status == "dropped").to_numpy()
    look = {"marker": line["marker"], "markersize": line["markersize"], "color": line["color"]}
    axes.plot(x, y, color=line["color"], linewidth=0.6, alpha=0.6)
    axes.plot(x[~lost], y[~lost], linestyle="", markeredgecolor="white", markeredgewidth=0.4, **look)
    axes.plot(x[lost], y[lost], linestyle="", markerfacecolor="white", **look)


def _ranges(numbers: list[int]) -> str:
    """[1, 2, 3, 7] as '1-3, 7', cut after ten ranges."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    texts = ["-".join(map(str, span)) for span in spans]
    return ", ".join(texts[:10]) + (", ..." if len(texts) > 10 else "")
