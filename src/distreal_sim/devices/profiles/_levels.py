"""Timelines and checks that several profiles share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from distreal_sim.devices.profiles import Keyed

Level = Annotated[float, Field(ge=0)]
Shares = tuple[Annotated[float, Field(ge=0, le=1)], ...]

MOST_CHANGES = 10_000.0
"""Changes per round beyond which pieces are so short that following them would take for ever."""

ChangesPerRound = Annotated[float, Field(ge=0, le=MOST_CHANGES)]

EVENTS_PER_WINDOW = 4.0
"""Mean number of events of a Poisson process that are drawn together."""

Number = TypeVar("Number", float, np.ndarray)


def between(low: float, high: float, drawn: Number) -> Number:
    """The uniform number in [low, high) for one in [0, 1); of an array the same as of its numbers."""
    return low + (high - low) * drawn


class Steady(NamedTuple):
    """A timeline that never changes."""

    level: float

    def piece(self, t_s: float) -> tuple[float, float]:
        return self.level, math.inf


class Redrawn:
    """A fresh level at every multiple of period_s."""

    def __init__(self, period_s: float, draw: Callable[[int], float]) -> None:
        self.period_s = period_s
        self.draw = draw

    def piece(self, t_s: float) -> tuple[float, float]:
        index = int(t_s // self.period_s)
        if (index + 1) * self.period_s <= t_s:  # the division rounded down across the boundary
            index += 1
        return self.draw(index), (index + 1) * self.period_s


class Refreshed:
    """A fresh level at the events of a Poisson process of the given rate (events per second).

    The process is drawn window by window, each window from its own key: by independence of increments
    that is the same process, and any time can be asked for without drawing what came before.
    """

    def __init__(self, rate_per_s: float, rng: Keyed, draw: Callable[[np.random.Generator], float]) -> None:
        self.window_s = EVENTS_PER_WINDOW / rate_per_s
        self.rng = rng
        self.draw = draw
        self.windows: dict[int, tuple[np.ndarray, list[float]]] = {}

    def piece(self, t_s: float) -> tuple[float, float]:
        index = int(t_s // self.window_s)
        if (index + 1) * self.window_s <= t_s:
            index += 1
        times, levels = self._window(index)
        after = int(np.searchsorted(times, t_s, side="right"))
        end_s = float(times[after]) if after < len(times) else (index + 1) * self.window_s
        while after == 0:
            index -= 1
            if index < 0:
                return self.draw(self.rng("initial")), end_s
            times, levels = self._window(index)
            after = len(times)
        return levels[after - 1], end_s

    def _window(self, index: int) -> tuple[np.ndarray, list[float]]:
        if index not in self.windows:
            rng = self.rng("window", index)
            n_events = int(rng.poisson(EVENTS_PER_WINDOW))
            times = np.sort(index * self.window_s + rng.random(n_events) * self.window_s)
            times = np.minimum(times, (index + 1) * self.window_s)  # rounding may carry one past the end
            self.windows[index] = times, [self.draw(rng) for _ in range(n_events)]
        return self.windows[index]


def cumulative(levels: tuple[float, ...], shares: Shares) -> np.ndarray:
    """(n,) upper ends of the levels' intervals in [0, 1); equal shares if none are given.

    Raises ValueError when shares and levels do not match or the shares do not sum to 1.
    """
    if not shares:
        return np.arange(1, len(levels) + 1) / len(levels)
    if len(shares) != len(levels):
        raise ValueError(
            f"shares has {len(shares)} entries, levels has {len(levels)}; give one share per level"
        )
    if abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares sum to {sum(shares):.10g}; they must sum to 1")
    steps = np.cumsum(shares)
    steps[np.flatnonzero(shares)[-1] :] = 1.0  # whatever the rounding, no level without a share is drawn
    return steps
