"""Numbers and tables as people read them on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

PIPED_WIDTH = 200
"""Columns of output that does not go to a terminal, so that a pipe wraps and cuts nothing."""

FOLDED_WIDTH = 20
"""Characters that a column of texts must have; longer ones are folded if there is no more room."""


def wide(console: Console) -> Console:
    """The console itself on a terminal; otherwise one of at least PIPED_WIDTH columns."""
    if console.is_terminal:
        return console
    return Console(file=console.file, width=max(console.width, PIPED_WIDTH))


def si(value: float, unit: str) -> str:
    """Three digits and a decimal prefix: `si(157312, "MAC")` is '157 kMAC'."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g} {unit}"
    value = float(f"{value:.3g}")  # rounded first, so that 999,999 is 1 M and not 1e+03 k
    exponent = min(max(0, math.floor(math.log10(abs(value)) + 1e-12) // 3), 6)
    return f"{value / 10 ** (3 * exponent):.3g} {('', 'k', 'M', 'G', 'T', 'P', 'E')[exponent]}{unit}"


def duration(seconds: float) -> str:
    """Two or three digits in the unit that fits: '0.42 s', '34 min', '5.2 h', '12 days'."""
    for limit, size, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds / 86400)} days"


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def percent(share: float) -> str:
    """One decimal below 10 %, none above: '1.6 %', '25 %'."""
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def counted(n: int, one: str, many: str = "") -> str:
    """The number and its noun: '1 round', '2,000 rounds', '3 entries'. many: by default `one` with an s."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def compact(values: Sequence[object]) -> str:
    """Values in order, runs of three or more as `LENGTHxVALUE`."""
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return " ".join(f"{n}x{value}" if n > 2 else " ".join([str(value)] * n) for value, n in runs)


def table(title: str, columns: str) -> Table:
    """An empty table. columns: headings separated by `|`; those that begin with `<` are left-aligned."""
    shown = Table(title=Text(title), title_justify="left")
    for heading in columns.split("|"):
        justify: Literal["left", "right"] = "left" if heading.startswith("<") else "right"
        shown.add_column(Text(heading.removeprefix("<")), justify=justify, overflow="fold")
    return shown


def show(console: Console, shown: Table) -> None:
    """Prints a table; a pipe gets it whole.

    On a terminal that is too narrow for whole numbers the columns are dealt out to several tables, each of
    which begins with the first column. Left-aligned columns may be folded.
    """
    room = console.width - 1 if console.is_terminal else math.inf
    parts: list[list[Column]] = [[]]
    for column in shown.columns[1:]:
        if parts[-1] and sum(map(_needed, [shown.columns[0], *parts[-1], column])) > room:
            parts.append([])
        parts[-1].append(column)
    for part in parts if len(parts) > 1 else []:
        some = Table(title=shown.title if part is parts[0] else None, title_justify="left")
        for column in (columns := [shown.columns[0], *part]):
            some.add_column(
                column.header, justify=column.justify, overflow="fold", no_wrap=column.justify == "right"
            )
        for row, *cells in zip(shown.rows, *(column.cells for column in columns), strict=True):
            some.add_row(*cells, end_section=row.end_section)
        console.print(some)
    if len(parts) == 1:
        wide(console).print(shown)


def _needed(column: Column) -> int:
    """Characters that a column must have, its frame included."""
    texts = [str(cell) for cell in (column.header, *column.cells)]
    width = max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    return 3 + (width if column.justify == "right" else min(width, FOLDED_WIDTH))


def say(console: Console, line: str) -> None:
    """Prints a line as it is; a pipe gets it unbroken."""
    console.print(Text(line), soft_wrap=not console.is_terminal)


def add_row(shown: Table, *cells: object, rule_after: bool = False) -> None:
    """Adds a row; integers get thousands separators, and square brackets are no markup."""
    texts = (Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in cells)
    shown.add_row(*texts, end_section=rule_after)
