"""Levels that change at regular times, and processes that remember: for one client or for many.

See `devices.processes` for the two forms of `piece`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from distreal_sim.devices.processes import period_at
from distreal_sim.devices.rngs import OneOrMany, Source

SMALLEST = 2.0**-54
"""Stands for the number 0, of which the normal distribution has no finite quantile."""

FORGOTTEN = 1e-3
"""Weight below which a process no longer remembers a value."""

AT_ONCE = 1 << 22
"""Most numbers that are drawn at once for many clients."""


def normal(drawn: OneOrMany) -> OneOrMany:
    """Maps a uniform number in [0, 1) to a standard normal one, the same for one and for many."""
    return ndtri(np.maximum(drawn, SMALLEST))


def daily_wave(steps: int) -> np.ndarray:
    """(steps,) equal pieces of a day: (1 - cos(2 pi (k + 1/2) / steps)) / 2, lowest where a day begins."""
    wave: np.ndarray = (1 - np.cos(2 * np.pi * (np.arange(steps) + 0.5) / steps)) / 2
    return wave


def of_rows(values: OneOrMany, rows: np.ndarray | None) -> OneOrMany:
    """The values of the clients in `rows`; a number that all share, or that of the one client, as it is."""
    return values[rows] if rows is not None and np.ndim(values) else values


def rng_of(rng: Source, rows: np.ndarray | None) -> Source:
    """The generators of the clients in `rows`, or of the one client."""
    return rng if rows is None else rng.pick(rows)  # type: ignore[attr-defined]


def numbers(source: Any, n: int) -> np.ndarray:
    """The next n numbers in [0, 1) of each client: (n,) for one, (n, m) for m clients."""
    if isinstance(source, np.random.Generator):
        return source.random(n)
    return np.stack([source.random() for _ in range(n)])


@dataclass(frozen=True, eq=False)
class Regular:
    """A new level at every multiple of period_s.

    level(k, rows): the level in period k, of the one client (k an int, rows None), or of the clients in rows
    (k: (m,) ints).
    """

    period_s: float
    level: Callable[[Any, np.ndarray | None], OneOrMany]

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        index = period_at(t_s, self.period_s)
        end_s = (index + 1) * self.period_s
        if rows is None:
            return float(self.level(int(index), None)), end_s
        return np.broadcast_to(self.level(index.astype(np.int64), rows), len(rows)), end_s


class Remembering:
    """A stationary Gaussian process at whole numbers k: x(k) = a x(k - 1) + sqrt(1 - a^2) e(k).

    e(k) are standard normal, so x(k) is, too, and the correlation of x(k) and x(k + j) is a^j, cut where it
    is below FORGOTTEN: any k can be asked for without the earlier ones. Time is cut into windows of `length`
    numbers; in window w the recursion starts with x = e at the first k of window w - 1. The normal numbers of
    window w are those of rng("window", w + 1).

    memory: k after which the correlation has fallen to 1/e, > 0.
    """

    def __init__(self, memory: float, rng: Source) -> None:
        self.keep = math.exp(-1 / memory)
        self.noise = math.sqrt(1 - self.keep**2)
        self.length = math.ceil(-memory * math.log(FORGOTTEN))
        self.rng = rng
        self.paths: dict[int, np.ndarray] = {}
        self.rows: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, k: Any, rows: np.ndarray | None = None) -> OneOrMany:
        """x(k) of the one client, or of the clients in rows."""
        window = k // self.length
        if rows is None:
            if window not in self.paths:
                self.paths[window] = self._path(self.rng, window)
            return self.paths[window][k - window * self.length]
        index, paths = self._kept()
        fresh = np.unique(rows[index[rows] != window])
        own = np.zeros(len(index), np.int64)
        own[rows] = window
        for some in np.array_split(fresh, max(1, len(fresh) * 2 * self.length // AT_ONCE)):
            if len(some):
                paths[some] = self._path(self.rng.pick(some), own[some]).T  # type: ignore[attr-defined]
        index[fresh] = own[fresh]
        return paths[rows, k - window * self.length]

    def _kept(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the window last asked for of each client, and (n, length) its values."""
        if self.rows is None:
            n = len(self.rng.client_id)  # type: ignore[attr-defined]
            self.rows = np.full(n, -1), np.empty((n, self.length))
        return self.rows

    def _path(self, rng: Source, window: Any) -> np.ndarray:
        """(length,) or (length, m): the values in a window."""
        drawn = [normal(numbers(rng("window", key), self.length)) for key in (window, window + 1)]
        fresh = np.concatenate(drawn)
        path = np.empty_like(fresh)
        path[0] = fresh[0]
        for place in range(1, len(path)):
            path[place] = self.keep * path[place - 1] + self.noise * fresh[place]
        return path[self.length :]
