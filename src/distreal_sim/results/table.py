"""The table of methods, as text for people and as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distreal_sim.results.sweep_table import short_names


def render(table: pd.DataFrame, console: Console | None = None, n_last: int = 1) -> None:
    """Print `time_to_accuracy`'s or `compare`'s table for people; never cut off when piped.

    n_last: what the final accuracies are means of; see `Run`.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, 200))
    columns = list(table.columns)
    setting = columns[: columns.index("method")]
    targets = [c.removeprefix("reached_") for c in columns if c.startswith("reached_")]
    extra = [heading for heading in ("rank", "difference") if heading in columns]
    accuracies = ["final", "best"]
    if not table["full_accuracy"].equals(table["final_accuracy"]):
        accuracies.append("full")  # of the whole network, which in part nobody may have trained
    caption = "mean ± half-width of the 95 % interval; seconds: over the seeds that got there"
    if "difference" in extra:
        caption += "; difference: of final accuracies, to the baseline's on the same seeds"
    if "full" in accuracies:
        caption += "; full: final accuracy of the whole network, the others: of its largest trained part"
    if n_last > 1:
        caption += f"; final: mean of the last {n_last} evaluations"
    shown = Table(caption=caption)
    names = short_names(setting)
    for heading in (*(names[key] for key in setting), "method"):
        shown.add_column(heading)
    headings = [f"{which} accuracy" for which in accuracies]
    for heading in ("seeds", "rounds", *headings, "MACs used", *extra):
        shown.add_column(heading, justify="right")
    for target in targets:
        shown.add_column(f"simulated s to {target}", justify="right")
    before: list[str] | None = None
    for row in table.to_dict("records"):
        here = [str(row[key]) for key in setting]
        if before is not None and here != before:
            shown.add_section()
        cells = [*(here if here != before else [""] * len(here)), str(row["method"])]
        cells += [str(row["seeds"]), str(row["rounds"])]
        cells += [_plus_minus(row, f"{which}_accuracy", "{:.4f}") for which in accuracies]
        cells.append("-" if math.isnan(row["macs_share"]) else f"{row['macs_share']:.0%}")
        if "rank" in extra:
            cells.append("-" if math.isnan(row["rank"]) else f"{row['rank']:.0f}")
        if "difference" in extra:
            cells.append(_plus_minus(row, "difference", "{:.4f}", sign="+"))
        for target in targets:
            seconds = _plus_minus(row, f"sim_s_to_{target}", "{:,.1f}")
            cells.append(f"{seconds} ({row[f'reached_{target}']})")
        shown.add_row(*map(escape, cells))
        before = here
    console.print(shown)


def to_csv(table: pd.DataFrame) -> str:
    """`time_to_accuracy`'s or `compare`'s table as CSV text; what does not exist is an empty field."""
    return table.to_csv(index=False, lineterminator="\n")


def _plus_minus(row: Mapping[Any, Any], key: str, form: str, sign: str = "") -> str:
    """`mean ± half`; sign: `+` shows the sign of a positive mean."""
    if math.isnan(row[key]):
        return "-"
    half = row[f"{key}_ci95"]
    mean = form.replace(":", f":{sign}").format(row[key])
    return mean + ("" if math.isnan(half) else f" ± {form.format(half)}")
