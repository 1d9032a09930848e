"""Capacities of many clients, one round each: `capacity.Capacity` for arrays, equal to the last bit.

The results of `Capacity` are sums over pieces, so they are added up here piece by piece in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from distreal_sim.devices.capacity import ROUNDING
from distreal_sim.devices.profiles import Timeline, Timelines


class OneByOne:
    """Timelines of a profile that computes one client at a time."""

    def __init__(self, timelines: Sequence[Timeline]) -> None:
        self._timelines = timelines

    def piece(self, t_s: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Timelines`."""
        pairs = zip(rows.tolist(), t_s.tolist(), strict=True)
        pieces = np.array([self._timelines[row].piece(at_s) for row, at_s in pairs]).reshape(-1, 2)
        return pieces[:, 0], pieces[:, 1]


class Capacities:
    """Capacities of n client rounds, one per row, traversed once forwards piece by piece.

    start_s: (n,) absolute times at which the rounds began; scale: MAC/s of level 1, of all rows or (n,) of
    each. The rest is (n,) each, with times relative to the round's start: from_s, to_s: the current piece;
    macs_per_s: its capacity; passed: MACs offered from 0 to from_s.
    """

    def __init__(self, timelines: Timelines, scale: float | np.ndarray, start_s: np.ndarray) -> None:
        n = len(start_s)
        self.timelines, self.start_s = timelines, start_s
        self.scale = np.broadcast_to(scale, n)
        self.from_s, self.to_s = np.zeros(n), np.zeros(n)
        self.macs_per_s, self.passed = np.zeros(n), np.zeros(n)
        self._end_s = np.zeros(n)  # of the piece, absolute
        self._enter(np.arange(n), start_s)

    def reach(self, rows: np.ndarray, t_s: np.ndarray) -> None:
        """Moves on to the pieces that hold at these times; no time may precede its row's current piece."""
        while len(rows):
            behind = (self._end_s[rows] <= self.start_s[rows] + t_s) | (self.to_s[rows] <= t_s)
            rows, t_s = rows[behind], t_s[behind]
            self.advance(rows)

    def advance(self, rows: np.ndarray) -> None:
        """Moves on to the next pieces."""
        from_s, to_s = self.from_s[rows], self.to_s[rows]
        self.passed[rows] += self.macs_per_s[rows] * (to_s - from_s)
        self.from_s[rows] = to_s
        self._enter(rows, self._end_s[rows])

    def finish(
        self, rows: np.ndarray, t_s: np.ndarray, macs: np.ndarray, until_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(time at which work that starts at t_s is done, or inf if after until_s; MACs offered until then).

        rows: (m,) with the current pieces at t_s; macs: (m,) ints. Moves on to the piece in which work ends.
        """
        left, done_s, offered = macs.astype(float), np.full(len(rows), math.inf), np.zeros(len(rows))
        live = np.arange(len(rows))
        while len(live):
            here = rows[live]
            rate, to_s, late_s = self.macs_per_s[here], self.to_s[here], until_s[live]
            with np.errstate(divide="ignore", invalid="ignore"):
                end_s = t_s + left / rate
                piece = rate * (to_s - t_s)
            free = (rate == math.inf) | (left <= 0)
            within = free | ((rate > 0) & (end_s <= to_s))
            end_s = np.where(free, t_s, end_s)
            left = left - piece
            spent = ~within & (left <= ROUNDING * macs[live])
            end_s = np.where(spent, to_s, end_s)
            ends = within | spent
            in_time = ends & (end_s <= late_s)
            done_s[live[in_time]] = end_s[in_time]
            goes_on = ~ends & (to_s <= late_s)
            lost = ~in_time & ~goes_on
            rest = np.where(rate[lost] > 0, rate[lost] * (late_s[lost] - t_s[lost]), 0.0)
            offered[live[lost]] += np.where(t_s[lost] < late_s[lost], rest, 0.0)
            live, left, t_s = live[goes_on], left[goes_on], to_s[goes_on]
            offered[live] += piece[goes_on]
            self.advance(rows[live])
        return done_s, offered

    def offered(self, until_s: np.ndarray) -> np.ndarray:
        """(n,) MACs offered from the start of each round to until_s, which must not precede from_s."""
        rows = np.flatnonzero(self.to_s < until_s)
        while len(rows):
            self.advance(rows)
            rows = rows[self.to_s[rows] < until_s[rows]]
        with np.errstate(invalid="ignore"):
            last = self.macs_per_s * (until_s - self.from_s)
        return self.passed + np.where((self.macs_per_s > 0) & (until_s > self.from_s), last, 0.0)

    def _enter(self, rows: np.ndarray, at_s: np.ndarray) -> None:
        """Enters the pieces at these absolute times; skips pieces that rounding leaves without length."""
        while len(rows):
            level, end_s = self.timelines.piece(at_s, rows)
            to_s = end_s - self.start_s[rows]
            self.macs_per_s[rows], self.to_s[rows], self._end_s[rows] = level * self.scale[rows], to_s, end_s
            empty = to_s <= self.from_s[rows]
            rows, at_s = rows[empty], end_s[empty]
