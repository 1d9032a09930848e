"""A row of numbers as a row of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

MAX_WIDTH = 120
"""Most characters of a sparkline."""


def marks_of(console: Console) -> str:
    """The marks that a console can show."""
    return " .:-=+*#@" if console.options.ascii_only else "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], marks: str) -> str:
    """A character for each value: the first mark for 0, the last for the largest one."""
    top = max(values)
    if top in (0.0, math.inf):
        return "".join(marks[-1] if v == math.inf else marks[0] for v in values)
    return "".join(marks[round(v / top * (len(marks) - 1))] for v in values)
