"""Levels as processes in time: functions of uniform numbers, written once for one client and for many.

A client's value is a number for one client and an array (n,) for n clients. `piece(t_s)` is for one client;
`piece(t_s, rows)` is for some of many clients, both (m,). Each returns the levels that hold at t_s, and the
times at which they may next change (> t_s, or inf).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from distreal_sim.base.rng_many import poisson_then
from distreal_sim.devices.rngs import OneOrMany, Source

EVENTS_PER_WINDOW = 4.0
"""Mean number of events in one window of a Poisson process."""

Draw = Callable[[OneOrMany], OneOrMany]
"""Numbers in [0, 1) -> levels, of any shape."""


def between(low: OneOrMany, high: OneOrMany, drawn: OneOrMany) -> OneOrMany:
    """Maps a uniform number in [0, 1) to [low, high)."""
    return low + (high - low) * drawn


def power(base: float, exponent: OneOrMany) -> OneOrMany:
    """base ** exponent, equal to the last bit for one and for many; numpy's array power may differ."""
    if isinstance(exponent, np.ndarray):
        return np.array([base**own for own in exponent.tolist()])
    return base**exponent


class Steady(NamedTuple):
    """A level that never changes."""

    level: OneOrMany

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        if rows is None:
            return float(self.level), math.inf
        levels = self.level[rows] if isinstance(self.level, np.ndarray) else np.full(len(rows), self.level)
        return levels, np.full(len(rows), math.inf)


@dataclass(frozen=True, eq=False)
class Periodic:
    """A new level at every multiple of period_s: base x draw(number).

    The number for period k is the first draw of rng("factor", k).
    """

    period_s: float
    rng: Source
    draw: Draw
    base: OneOrMany = 1.0

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        index = period_at(t_s, self.period_s)
        end_s = (index + 1) * self.period_s
        if rows is None:
            return float(self.base * self.draw(self.rng("factor", int(index)).random())), end_s
        base = self.base[rows] if isinstance(self.base, np.ndarray) else self.base
        numbers = self.rng.pick(rows)("factor", index.astype(np.int64)).random()  # type: ignore[attr-defined]
        return base * self.draw(numbers), end_s


class Poisson:
    """A new level, draw(number), at each event of a Poisson process with the client's own rate.

    The process is drawn window by window, each with its own key: because increments are independent, this is
    the same process, and any time can be queried without drawing the earlier windows. Window k takes from
    rng("window", k) the number of events, their times and their levels, in this order; the level before the
    very first event is drawn from rng("initial").

    rate_per_s: events per second, > 0; a number for one client, (n,) for many. For many clients the last
    window queried is kept for each row: times (n, M), in order and padded with the window's end; levels
    (n, M); before: (n,) the level until the first event, NaN where it was not queried.
    """

    def __init__(self, rate_per_s: OneOrMany, rng: Source, draw: Draw) -> None:
        self.window_s = np.float64(EVENTS_PER_WINDOW) / rate_per_s
        self.rng, self.draw = rng, draw
        self.windows: dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        n = np.size(rate_per_s)
        self.index = np.full(n, -2.0)
        self.times, self.levels = np.empty((n, 1)), np.empty((n, 1))
        self.n_events, self.before = np.zeros(n, np.int64), np.full(n, math.nan)

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        return self._piece(t_s) if rows is None else self._pieces(t_s, rows)

    def _window(self, index: OneOrMany, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(times, levels, number of events) of one window of the client, or of each row."""
        if rows is None:
            rng, window_s = self.rng("window", int(index)), self.window_s
        else:
            rng = self.rng.pick(rows)("window", index.astype(np.int64))  # type: ignore[attr-defined]
            window_s = self.window_s[rows]
        numbers, n_events = poisson_then(EVENTS_PER_WINDOW, 2, rng)  # type: ignore[arg-type]
        place = np.arange(n_events.max(initial=0) + 1) < n_events[..., None]
        start_s, end_s = index * window_s, (index + 1) * window_s
        start, end, width = (np.repeat(each, n_events) for each in (start_s, end_s, window_s))
        times, levels = np.empty(place.shape), np.zeros(place.shape)
        times[:] = end_s[..., None]
        times[place] = np.minimum(start + numbers[0] * width, end)  # rounding may carry one past the end
        times.sort(axis=-1)
        levels[place] = self.draw(numbers[1])
        return times, levels, n_events

    def _piece(self, t_s: float) -> tuple[float, float]:
        """`piece` for one client; all its windows are kept."""
        index = period_at(t_s, self.window_s)
        times, levels, _ = self._kept(index)
        after = int(times.searchsorted(t_s, side="right"))
        end_s = float(times[after])
        while not after and index > 0:
            index -= 1
            _, levels, n_events = self._kept(index)
            after = int(n_events)
        level = levels[after - 1] if after else self.draw(self.rng("initial").random())
        return float(level), end_s

    def _kept(self, index: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if index not in self.windows:
            self.windows[index] = self._window(index, None)
        return self.windows[index]

    def _pieces(self, t_s: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = period_at(t_s, self.window_s[rows])
        fresh = self.index[rows] != index
        self._keep(rows[fresh], index[fresh])
        times = self.times[rows]
        after = (times <= t_s[:, None]).view(np.int8).sum(axis=1, dtype=np.int8)
        self._look_back(rows[(after == 0) & np.isnan(self.before[rows])])
        level = np.where(after > 0, self.levels[rows, after - 1], self.before[rows])
        return level, times[np.arange(len(rows)), after]

    def _keep(self, rows: np.ndarray, index: np.ndarray) -> None:
        """Draws and keeps the current windows of these rows."""
        if not len(rows):
            return
        n_before = self.n_events[rows]
        held = np.where(n_before > 0, self.levels[rows, n_before - 1], self.before[rows])
        self.before[rows] = np.where(self.index[rows] == index - 1, held, math.nan)
        times, levels, n_events = self._window(index, rows)
        wider = times.shape[1] - self.times.shape[1]
        if wider > 0:
            self.times = np.pad(self.times, ((0, 0), (0, wider)), mode="edge")
            self.levels = np.pad(self.levels, ((0, 0), (0, wider)))
        elif wider < 0:
            times = np.pad(times, ((0, 0), (0, -wider)), mode="edge")
            levels = np.pad(levels, ((0, 0), (0, -wider)))
        self.times[rows], self.levels[rows], self.n_events[rows] = times, levels, n_events
        self.index[rows] = index

    def _look_back(self, rows: np.ndarray) -> None:
        """Finds the level before the first event in the nearest earlier window with events."""
        index = self.index[rows]
        while len(rows):
            index = index - 1
            first = index < 0
            if first.any():
                rng = self.rng.pick(rows[first])("initial")  # type: ignore[attr-defined]
                self.before[rows[first]] = self.draw(rng.random())
            rows, index = rows[~first], index[~first]
            _, levels, n_events = self._window(index, rows)
            some = n_events > 0
            self.before[rows[some]] = levels[some, n_events[some] - 1]
            rows, index = rows[~some], index[~some]


def period_at(t_s: OneOrMany, period_s: OneOrMany) -> OneOrMany:
    """The number of the period [k p, (k + 1) p) that a time is in, as a float."""
    index = t_s // period_s
    return index + ((index + 1) * period_s <= t_s)  # where the division rounded down across the boundary
