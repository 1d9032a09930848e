"""Numbers and tables as people read them on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200
"""Columns of output that does not go to a terminal, so that a pipe wraps and cuts nothing."""


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


def say(console: Console, line: str) -> None:
    """Prints a line as it is; a pipe gets it unbroken."""
    console.print(Text(line), soft_wrap=not console.is_terminal)


def add_row(shown: Table, *cells: object, rule_after: bool = False) -> None:
    """Adds a row; integers get thousands separators, and square brackets are no markup."""
    texts = (Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in cells)
    shown.add_row(*texts, end_section=rule_after)
