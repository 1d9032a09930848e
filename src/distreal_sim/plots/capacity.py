"""One client: the capacity it had, the share of the model it trained and the time that took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.errors import InputError
from distreal_sim.plots._legend import legend_above
from distreal_sim.plots._lines import label_lines
from distreal_sim.plots._save import look, save
from distreal_sim.plots._units import si_unit, time_unit
from distreal_sim.runs import Run, group


def capacity(runs: Sequence[Run], client_id: int | None = None, out: Path | None = None) -> Figure:
    """Mean capacity in each round in which the client was selected, the MAC/s used, keep rate, and time.

    One run per experiment is drawn, of the lowest seed, since another seed has other capacities. A bar
    spans its round and shows MACs offered / length; a marker, what the method used of it; a hollow
    marker, a client whose update was lost. `client_id` defaults to the client selected most often.
    Raises InputError when a client was never selected.
    """
    drawn = {label: seeds[0] for label, seeds in group(sorted(runs, key=lambda run: run.seed)).items()}
    tables = {label: _client_rounds(run) for label, run in drawn.items()}
    counts = Counter(int(c) for table in tables.values() for c in table["client_id"])
    if not counts:
        raise InputError("no client was selected in any of the runs")
    chosen = min(counts, key=lambda c: (-counts[c], c)) if client_id is None else client_id
    if chosen not in counts:
        raise InputError(f"client {chosen} was never selected (clients: {_ranges(sorted(counts))})")
    tables = {label: table[table["client_id"] == chosen] for label, table in tables.items()}
    lines = label_lines({label: [run] for label, run in drawn.items()})
    together = pd.concat(list(tables.values()))
    time_size, time_name = time_unit(float(together["end_s"].max()))
    rates = together[["capacity", "used"]].to_numpy()
    rate_size, rate_name = si_unit(float(np.max(rates[np.isfinite(rates)], initial=0.0)), "MAC/s")
    with look():
        figure = Figure(figsize=(5.6, 5.2))
        offered, kept, took = figure.subplots(3, 1, sharex=True)
        _bars(offered, together, time_size, rate_size)
        for label, table in tables.items():
            for axes, column, size in ((offered, "used", rate_size), (kept, "mean_keep_rate", 1), (took, "sim_s", 1)):
                _marks(axes, table["middle_s"] / time_size, table[column] / size, table["status"], lines[label])
            kept.plot([], [], label=label, **(lines[label] | {"linestyle": ""}))
        took.axhline(float(together["deadline_s"].iloc[0]), color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
        offered.set(ylabel=f"Capacity,\nused ({rate_name})", title=f"client {chosen}")
        offered.set_ylim(bottom=0)
        kept.set(ylabel="Mean keep rate", ylim=(0, 1.06))
        took.set(ylabel="Time in round (s)\n(dashed: deadline)", xlabel=f"Simulated time ({time_name})")
        took.set_ylim(bottom=0)
        legend_above(figure, *kept.get_legend_handles_labels())
        save(figure, out)
    return figure


def _client_rounds(run: Run) -> pd.DataFrame:
    """Rows of `run.clients()` with `start_s`, `middle_s`, `end_s` of their round, and, in MAC/s over it,
    the `capacity` that was offered and the rate `used`.
    """
    end_s = run.rounds.set_index("round")["sim_s"]
    start_s = end_s.shift(fill_value=0.0)
    table = run.clients()
    table = table[table["round"].isin(end_s.index)].copy()
    table["start_s"], table["end_s"] = table["round"].map(start_s), table["round"].map(end_s)
    table["middle_s"] = (table["start_s"] + table["end_s"]) / 2
    table["capacity"] = table["macs_available"] / (table["end_s"] - table["start_s"])
    table["used"] = table["macs"] / (table["end_s"] - table["start_s"])
    return table.assign(deadline_s=float(run.config["deadline_s"]))


def _bars(axes: Axes, table: pd.DataFrame, time_size: float, rate_size: float) -> None:
    """What was offered: the same for every method, so drawn once; unlimited capacity has no bar."""
    once = table[np.isfinite(table["capacity"])].drop_duplicates(["start_s", "end_s", "capacity"])
    width = (once["end_s"] - once["start_s"]) / time_size
    axes.bar(
        once["start_s"] / time_size, once["capacity"] / rate_size, width, align="edge", color="0.82",
        linewidth=0, label="_offered",
    )  # fmt: skip


def _marks(axes: Axes, x: pd.Series, y: pd.Series, status: pd.Series, line: dict[str, object]) -> None:
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
