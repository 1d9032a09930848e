"""Timelines of many clients at once, the twins of those in `_levels`: the same pieces, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from distreal_sim.base.rng_many import Keys, Streams
from distreal_sim.devices.profiles._levels import EVENTS_PER_WINDOW

COLUMNS = 8
"""Numbers drawn at a time for a window, whose length is random; about 13 are needed."""


def period_at(t_s: np.ndarray, period_s: np.ndarray | float) -> np.ndarray:
    """(n,) int64: the number of the period [k p, (k + 1) p) that a time is in."""
    index = (t_s // period_s).astype(np.int64)
    return index + ((index + 1) * period_s <= t_s)  # where the division rounded down across the boundary


class AllSteady:
    """levels: (n,), for ever."""

    def __init__(self, levels: np.ndarray) -> None:
        self.levels = levels

    def piece(self, rows: np.ndarray, t_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.levels[rows], np.full(len(rows), math.inf)


class AllRedrawn:
    """A fresh level for everybody at every multiple of period_s; draw(rows, k): those of period k."""

    def __init__(self, period_s: float, draw: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.period_s = period_s
        self.draw = draw

    def piece(self, rows: np.ndarray, t_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = period_at(t_s, self.period_s)
        return self.draw(rows, index), (index + 1) * self.period_s


class AllRefreshed:
    """A fresh level at the events of a Poisson process of each client's own rate.

    draw: numbers in [0, 1) -> levels. The last window asked about is kept for each row: times (n, M), in
    order and filled up with the window's end; levels (n, M); before: (n,) the level that holds up to the
    first event, NaN where nobody has asked.
    """

    def __init__(
        self,
        rates_per_s: np.ndarray,
        client_ids: np.ndarray,
        rngs: Keys,
        draw: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        n = len(client_ids)
        self.window_s = EVENTS_PER_WINDOW / rates_per_s
        self.client_ids, self.rngs, self.draw = client_ids, rngs, draw
        self.index = np.full(n, -2)
        self.times, self.levels = np.empty((n, 1)), np.empty((n, 1))
        self.n_events, self.before = np.zeros(n, np.int64), np.full(n, math.nan)

    def piece(self, rows: np.ndarray, t_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = period_at(t_s, self.window_s[rows])
        fresh = self.index[rows] != index
        self._keep(rows[fresh], index[fresh])
        times = self.times[rows]
        after = (times <= t_s[:, None]).view(np.int8).sum(axis=1, dtype=np.int8)
        self._look_back(rows[(after == 0) & np.isnan(self.before[rows])])
        level = np.where(after > 0, self.levels[rows, after - 1], self.before[rows])
        return level, times[np.arange(len(rows)), after]

    def _keep(self, rows: np.ndarray, index: np.ndarray) -> None:
        """Fills in the windows that these rows are in now."""
        if not len(rows):
            return
        n_before = self.n_events[rows]
        held = np.where(n_before > 0, self.levels[rows, n_before - 1], self.before[rows])
        self.before[rows] = np.where(self.index[rows] == index - 1, held, math.nan)
        times, levels, n_events = self._window(rows, index)
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
                initial = self.rngs("initial", self.client_ids[rows[first]]).random()
                self.before[rows[first]] = self.draw(initial)
            rows, index = rows[~first], index[~first]
            _, levels, n_events = self._window(rows, index)
            some = n_events > 0
            self.before[rows[some]] = levels[some, n_events[some] - 1]
            rows, index = rows[~some], index[~some]

    def _window(self, rows: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(times, levels, number of events) of one window of each row; as `_levels.Refreshed._window`."""
        numbers, n_events = poisson_then(2, self.rngs("window", self.client_ids[rows], index))
        most = int(n_events.max(initial=0)) + 1
        row, event = np.nonzero(np.arange(most) < n_events[:, None])
        width_s, place = self.window_s[rows], n_events[row] + 1 + event
        end_s = (index + 1) * width_s
        when = (index * width_s)[row] + numbers[place, row] * width_s[row]
        times = np.repeat(end_s[:, None], most, axis=1)
        times[row, event] = np.minimum(when, end_s[row])
        times.sort(axis=1)
        levels = np.zeros(times.shape)
        levels[row, event] = self.draw(numbers[place + n_events[row], row])
        return times, levels, n_events


def poisson_then(per_event: int, streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """(N, n) numbers in [0, 1) and (n,) events: rng.poisson(EVENTS_PER_WINDOW), and what a stream gives then.

    numpy multiplies numbers until the product is at most exp(-mean): one more than there are events. Behind
    them stand at least per_event numbers for each event; what lies beyond these may be 0.
    """
    n = len(streams)
    enough = math.exp(-EVENTS_PER_WINDOW)
    blocks: list[tuple[np.ndarray, np.ndarray]] = []
    product, n_events, live = np.ones(n), np.zeros(n, np.int64), np.arange(n)
    while len(live):
        drawn = np.stack([streams.random() for _ in range(COLUMNS)])
        blocks.append((live, drawn))
        found = n_events[live]
        for column in drawn:
            product = product * column
            found += product > enough
        n_events[live] = found
        needed = (product > enough) | (found * (1 + per_event) + 1 > COLUMNS * len(blocks))
        streams, live, product = streams.pick(needed), live[needed], product[needed]
    numbers = np.zeros((COLUMNS * len(blocks), n))
    for index, (rows, drawn) in enumerate(blocks):
        numbers[index * COLUMNS : (index + 1) * COLUMNS, rows] = drawn
    return numbers, n_events
