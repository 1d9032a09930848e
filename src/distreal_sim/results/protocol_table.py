"""The protocols' tables for people."""

from __future__ import annotations

import math

import pandas as pd
from rich.console import Console

from distreal_sim.base.text import add_row, show, table
from distreal_sim.results.sweep_table import brief
from distreal_sim.results.table import Format, grid_text, to_csv

HEADINGS = {
    "setting": "<setting",
    "method": "<method",
    "sim_s": "simulated s",
    "download_bytes": "bytes down",
    "upload_bytes": "bytes up",
    "energy_j": "joules",
    "binding": "<exhausted first",
    "slow_down": "time / nominal",
    "nominal_rank": "rank, nominal",
}
"""Headings of columns that are not called by their names."""


def render(found: pd.DataFrame, title: str, console: Console) -> None:
    """Prints a table of `protocols`; an infinite cost is `> end`, a missing value `-`."""
    headings, rows = _cells(found)
    shown = table(title, "|".join(headings))
    for row in rows:
        add_row(shown, *row)
    show(console, shown)


def formatted(found: pd.DataFrame, title: str, form: Format) -> str:
    """The same table as CSV, with every column and digit, or as printed, in Markdown or LaTeX (booktabs)."""
    if form == "csv":
        return to_csv(found)
    headings, rows = _cells(found)
    n_keys = sum(heading in ("<setting", "<method") for heading in headings)
    plain = [heading.removeprefix("<") for heading in headings]
    sign = "% " if form == "latex" else ""
    return f"{grid_text(plain, rows, n_keys, form)}\n{sign}{title}\n"


def _cells(found: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings, and the cells of each row."""
    columns = [c for c in found.columns if not c.endswith("_ci95") and not (c == "setting" and _empty(found))]
    names = brief(dict.fromkeys(map(str, found["method"])))
    rows = []
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
        rows.append(cells)
    return [HEADINGS.get(c, c.replace("_", " ")) for c in columns], rows


def number(value: float) -> str:
    """Four digits; `> end` for infinity, `-` for NaN."""
    if math.isnan(value):
        return "-"
    return "> end" if math.isinf(value) else f"{value:.4g}"


def _half(value: float) -> str:
    return "" if math.isnan(value) else f" ± {value:.2g}"


def _empty(found: pd.DataFrame) -> bool:
    return bool((found["setting"] == "").all())
