"""Tables of results for people: numbers are always whole, whatever the width of the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distreal_sim.results.sweep_table import brief, short_names

Format = Literal["csv", "markdown", "latex"]

IN_LATEX = {c: f"\\{c}" for c in "_%&#$"} | {
    "±": r"$\pm$", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
}  # fmt: skip
"""Characters that LaTeX writes otherwise."""

LATEX = re.compile("|".join(map(re.escape, IN_LATEX)))

MARK = "*"
"""Mark after an interval from two values."""

LARGE = 1e4
"""Scores from here on are written with five digits, smaller ones with four decimals."""

FRAME = 3
"""Characters between two columns."""


@dataclass(frozen=True)
class Column:
    """heading: may have two lines; cells: one a row."""

    heading: str
    cells: Sequence[str]

    @property
    def stacked(self) -> Column:
        """With the heading in two lines."""
        if " to " in self.heading:
            return Column(self.heading.replace(" to ", "\nto "), self.cells)
        return Column("\n".join(self.heading.rsplit(" ", 1)), self.cells)

    @property
    def width(self) -> int:
        """Of its widest line."""
        return max(map(cell_len, [*self.heading.splitlines(), *self.cells]))

    def at(self, places: Sequence[int]) -> Column:
        """The rows at these places."""
        return Column(self.heading, [self.cells[place] for place in places])


def render(table: pd.DataFrame, console: Console | None = None, n_last: int = 1) -> None:
    """Print `time_to_accuracy`'s or `compare`'s table for people.

    On a terminal that is too narrow each setting has tables of its own, to which the columns are dealt out; a
    pipe gets one table of full width. n_last: number of evaluations in a final accuracy; see `Run`.
    """
    console = console or Console()
    keys, numbers = _keys(table), _numbers(table)
    caption = _caption(table, n_last)
    one = 1 + sum(column.width + FRAME for column in (*keys, *numbers))
    if not console.is_terminal or one <= console.width:
        _print(console, keys, numbers, width=one, caption=caption)
        return
    settings = list(zip(*(key.cells for key in keys[:-1]), strict=True)) or [()] * len(table)
    for setting in dict.fromkeys(settings):
        here = [place for place, other in enumerate(settings) if other == setting]
        if setting:
            pairs = zip(keys[:-1], setting, strict=True)
            console.print(Text(", ".join(f"{key.heading} = {value}" for key, value in pairs), style="bold"))
        limit = max(16, console.width // 3)
        label = keys[-1].at(here)
        room = console.width - 1 - min(label.width, limit) - FRAME
        for part in _parts([column.at(here).stacked for column in numbers], room):
            width = console.width - room + sum(column.width + FRAME for column in part)
            _print(console, [label], part, width=max(width, console.width), limit=limit)
    console.print(Text(caption, style="italic"))


def formatted(table: pd.DataFrame, form: Format, n_last: int = 1) -> str:
    """The same table as CSV, with every column and digit, or as printed, in Markdown or LaTeX (booktabs)."""
    if form == "csv":
        return to_csv(table)
    columns = [*_keys(table), *_numbers(table)]
    n_keys = len(_keys(table))
    headings = [column.heading for column in columns]
    rows = list(zip(*(column.cells for column in columns), strict=True))
    sign = "% " if form == "latex" else ""
    return f"{grid_text(headings, rows, n_keys, form)}\n{sign}{_caption(table, n_last)}\n"


def grid_text(
    headings: Sequence[str], rows: Sequence[Sequence[str]], n_keys: int, form: Literal["markdown", "latex"]
) -> str:
    """A table in Markdown or LaTeX; n_keys: columns that are aligned left."""
    if form == "markdown":
        lines = [[re.sub(r"([|*])", r"\\\1", cell) for cell in row] for row in (headings, *rows)]
        rule = [*["---"] * n_keys, *["---:"] * (len(headings) - n_keys)]
        return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], rule, *lines[1:]))
    lines = [[_in_latex(cell) for cell in row] for row in (headings, *rows)]
    body = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * n_keys}{'r' * (len(headings) - n_keys)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            "\\end{tabular}\n",
        ]
    )


def _in_latex(cell: str) -> str:
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", LATEX.sub(lambda found: IN_LATEX[found[0]], cell))


def _parts(columns: Sequence[Column], room: int) -> list[list[Column]]:
    """Columns that fit next to each other into this width, in their order; at least one in each."""
    parts: list[list[Column]] = [[]]
    left = room
    for column in columns:
        if parts[-1] and column.width + FRAME > left:
            parts.append([])
            left = room
        parts[-1].append(column)
        left -= column.width + FRAME
    return parts


def _print(
    console: Console,
    keys: Sequence[Column],
    numbers: Sequence[Column],
    *,
    width: int,
    caption: str | None = None,
    limit: int | None = None,
) -> None:
    """One table, as wide as it must be. limit: the most characters in a line of a key."""
    if width > console.width:
        console = Console(file=console.file, width=width, force_terminal=console.is_terminal)
    shown = Table(caption=caption, caption_justify="left")
    for key in keys:
        shown.add_column(Text(key.heading), overflow="fold", max_width=limit)
    for column in numbers:
        shown.add_column(Text(column.heading), justify="right", no_wrap=True)
    rows = list(zip(*(key.cells for key in keys[:-1]), strict=True)) or [()] * len(keys[0].cells)
    for place, setting in enumerate(rows):
        again = place > 0 and rows[place - 1] == setting
        if place > 0 and not again:
            shown.add_section()
        cells = [*([""] * len(setting) if again else setting), keys[-1].cells[place]]
        shown.add_row(*map(Text, [*cells, *(column.cells[place] for column in numbers)]))
    console.print(shown)


def _keys(table: pd.DataFrame) -> list[Column]:
    """The swept keys of the setting, and the label."""
    columns = list(table.columns)
    setting = columns[: columns.index("method")]
    names = short_names(setting)
    short = {key: brief(dict.fromkeys(map(str, table[key]))) for key in (*setting, "method")}
    return [Column(names.get(key, key), [short[key][str(v)] for v in table[key]]) for key in short]


def _numbers(table: pd.DataFrame) -> list[Column]:
    rows = table.to_dict("records")
    columns = [Column(key, [str(row[key]) for row in rows]) for key in ("seeds", "rounds")]
    if table["stopped_early"].any():
        cells = [f"{row['stopped_early']} of {row['seeds']}" for row in rows]
        columns.append(Column("stopped early", cells))
    y = _score(table)
    largest = table[[f"{which}_{y}" for which in _whose(table)]].abs().max().max()
    form = "{:.5g}" if largest >= LARGE else "{:.4f}"
    for which in _whose(table):
        cells = [_plus_minus(row, f"{which}_{y}", form, row["seeds"]) for row in rows]
        columns.append(Column(f"{which} {y.replace('_', ' ')}", cells))
    if "rank" in table:
        columns.append(Column("rank", [_number(row["rank"], "{:.0f}") for row in rows]))
    if "difference" in table:
        cells = [_plus_minus(row, "difference", "{:.4f}", row["pairs"], sign="+") for row in rows]
        columns.append(Column("difference", cells))
    for name in table.columns:
        if str(name).startswith("reached_"):
            target = str(name).removeprefix("reached_")
            cells = [_seconds(row, target) for row in rows]
            columns.append(Column(f"simulated s to {target}", cells))
    shares = {
        "completed_share": "clients completed",
        "macs_share": "MACs used",
        "merged_share": "MACs merged",
    }
    return columns + [
        Column(heading, [_number(100 * row[key], "{:.0f} %") for row in rows])
        for key, heading in shares.items()
    ]


def _score(table: pd.DataFrame) -> str:
    """The score that the table is about."""
    column = next(str(c) for c in table.columns if str(c).startswith("final_"))
    return column.removeprefix("final_")


def _whose(table: pd.DataFrame) -> list[str]:
    y = _score(table)
    same = table[f"full_{y}"].equals(table[f"final_{y}"])
    return ["final", "best"] if same else ["final", "best", "full"]


def _caption(table: pd.DataFrame, n_last: int) -> str:
    """Explanation of the numbers."""
    caption = "mean ± half-width of the 95 % interval; seconds: over the seeds that got there"
    if "difference" in table:
        caption += f"; difference: of final {_plural(_score(table))}, to the baseline's on the same seeds"
    if "full" in _whose(table):
        caption += (
            f"; full: final {_score(table)} of the whole network, the others: of its largest trained part"
        )
    if n_last > 1:
        caption += f"; final: mean of the last {n_last} evaluations"
    caption += "; MACs: shares of those offered, merged: those of clients whose update counted"
    if any(MARK in cell for column in _numbers(table) for cell in column.cells):
        caption += (
            f"; {MARK}: from two seeds, 12.7 standard errors to either side, which says little: add seeds"
        )
    return caption


def _plural(score: str) -> str:
    return "accuracies" if score == "accuracy" else f"values of {score}"


def _seconds(row: Mapping[Any, Any], target: str) -> str:
    reached = row[f"reached_{target}"]
    seconds = _plus_minus(row, f"sim_s_to_{target}", "{:,.1f}", int(reached.partition(" ")[0]))
    return f"{seconds} ({reached})"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)


def _plus_minus(row: Mapping[Any, Any], key: str, form: str, n: float, sign: str = "") -> str:
    """`mean ± half`; n: of how many values; sign: `+` shows the sign of a positive mean."""
    if math.isnan(row[key]):
        return "-"
    half = row[f"{key}_ci95"]
    mean = form.replace(":", f":{sign}").format(row[key])
    return mean if math.isnan(half) else f"{mean} ± {form.format(half)}{MARK if n == 2 else ''}"


def to_csv(table: pd.DataFrame) -> str:
    """`time_to_accuracy`'s or `compare`'s table as CSV text; a missing value is an empty field."""
    return table.to_csv(index=False, lineterminator="\n")
