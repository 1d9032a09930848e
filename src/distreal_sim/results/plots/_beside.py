"""Places of several experiments beside each other at one place of the x axis."""

from __future__ import annotations

WIDTH = 0.7
"""Of a place on the x axis, which the experiments share."""


def shifts(n: int) -> list[float]:
    """How far the marks of each of n experiments stand from the middle of their place."""
    return [WIDTH * ((index + 0.5) / n - 0.5) for index in range(n)]
