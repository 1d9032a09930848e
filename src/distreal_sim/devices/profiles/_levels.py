"""Options that several profiles share, and their checks."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from distreal_sim.base.text import counted
from distreal_sim.devices.processes import Draw

Level = Annotated[float, Field(ge=0)]
Shares = tuple[Annotated[float, Field(ge=0, le=1)], ...]

MOST_CHANGES = 10_000.0
"""Largest number of changes per round; with more, pieces are too short to be simulated in reasonable time."""

ChangesPerRound = Annotated[float, Field(ge=0, le=MOST_CHANGES)]


def picker(levels: tuple[float, ...], shares: Shares) -> Draw:
    """draw(numbers in [0, 1)) -> levels; each level has an interval whose length is its share."""
    values, steps = np.array(levels), cumulative(levels, shares)
    return lambda drawn: values[np.searchsorted(steps, drawn, side="right")]


def cumulative(levels: tuple[float, ...], shares: Shares) -> np.ndarray:
    """(n,) upper ends of the levels' intervals in [0, 1); equal shares if none are given.

    Raises ValueError when shares and levels do not match or the shares do not sum to 1.
    """
    if not shares:
        return np.arange(1, len(levels) + 1) / len(levels)
    if len(shares) != len(levels):
        raise ValueError(
            f"shares has {counted(len(shares), 'entry', 'entries')}, levels has {len(levels)}; give one "
            "share per level"
        )
    if abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares sum to {sum(shares):.10g}; they must sum to 1")
    steps = np.cumsum(shares)
    steps[np.flatnonzero(shares)[-1] :] = 1.0  # whatever the rounding, no level without a share is drawn
    return steps
