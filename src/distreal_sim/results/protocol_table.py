"""The protocols' tables for people."""

from __future__ import annotations

import math

import pandas as pd
from rich.console import Console

from distreal_sim.base.text import add_row, table, wide
from distreal_sim.results.sweep_table import brief

HEADINGS = {
    "setting": "<setting",
    "method": "<method",
    "sim_s": "simulated s",
    "download_bytes": "bytes down",
    "upload_bytes": "bytes up",
    "binding": "<exhausted first",
    "slow_down": "time / nominal",
    "nominal_rank": "rank, nominal",
}
"""Headings of columns that are not called by their names."""


def render(found: pd.DataFrame, title: str, console: Console) -> None:
    """Prints a table of `protocols`; an infinite cost is `> end`, a missing value `-`."""
    columns = [c for c in found.columns if not c.endswith("_ci95") and not (c == "setting" and _empty(found))]
    shown = table(title, "|".join(HEADINGS.get(c, c.replace("_", " ")) for c in columns))
    names = brief(dict.fromkeys(map(str, found["method"])))
    for row in found.to_dict("records"):
        cells = []
        for column in columns:
            value = row[column]
            if column == "method":
                cells.append(names[str(value)])
            elif isinstance(value, float):
                cells.append(number(value) + _half(row.get(f"{column}_ci95", math.nan)))
            else:
                cells.append(str(value) or "-")
        add_row(shown, *cells)
    wide(console).print(shown)


def number(value: float) -> str:
    """Four digits; `> end` for infinity, `-` for NaN."""
    if math.isnan(value):
        return "-"
    return "> end" if math.isinf(value) else f"{value:.4g}"


def _half(value: float) -> str:
    return "" if math.isnan(value) else f" ± {value:.2g}"


def _empty(found: pd.DataFrame) -> bool:
    return bool((found["setting"] == "").all())
