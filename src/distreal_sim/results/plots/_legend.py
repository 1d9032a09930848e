"""A legend that never covers data: above the axes, in as many columns as fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

_CHARACTERS_PER_INCH = 15.0
_HANDLE_CHARACTERS = 8


def legend_above(
    figure: Figure, handles: Sequence[Any], labels: Sequence[str], title: str | None = None
) -> None:
    """Put the legend outside the axes, at the top of `figure`."""
    if not labels:
        return
    width = figure.get_size_inches()[0] * _CHARACTERS_PER_INCH
    fitting = int(width // (max(map(len, labels)) + _HANDLE_CHARACTERS))
    columns = min(len(labels), max(1, fitting))
    rows = -(-len(labels) // columns)
    figure.legend(
        handles, labels, loc="outside upper center", ncols=-(-len(labels) // rows), title=title,
        title_fontsize=8.5, handlelength=3.0, columnspacing=1.6,
    )  # fmt: skip
