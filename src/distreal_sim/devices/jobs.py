"""Jobs that arrive at random times and leave: how many are there, for one client or for many.

See `devices.processes` for the two forms of `piece`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distreal_sim.base.rng_many import poisson_then
from distreal_sim.devices.processes import period_at
from distreal_sim.devices.regular import rng_of
from distreal_sim.devices.rngs import OneOrMany, Source

MOST_JOBS = 4.0
"""Largest mean number of jobs: a window holds twice as many arrivals, and `poisson_then` takes up to 10."""


class Jobs:
    """level(n), n the number of jobs that are there: they arrive in a Poisson process, and leave.

    A job stays for a time that is uniform in [0, 2 mean_s), so that the number of jobs is a Poisson variable
    of mean n_jobs at any time (the M/G/infinity queue). Windows are 2 mean_s long, and a job of window w is
    gone when window w + 2 begins: two windows say who is there. Window w takes from rng("window", w + 1) the
    number of its arrivals, their times and their durations, in this order.

    n_jobs: mean number of jobs, in (0, MOST_JOBS]; level: (m,) ints -> (m,). Of many clients the last window
    queried is kept for each row: times (n, M), in order and padded with the window's end; counts (n, M), the
    jobs from each time on; before (n,), those before the first.
    """

    def __init__(
        self, n_jobs: float, mean_s: float, rng: Source, level: Callable[[OneOrMany], OneOrMany]
    ) -> None:
        self.window_s, self.mean, self.rng, self.level = 2.0 * mean_s, 2.0 * n_jobs, rng, level
        self.windows: dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.index, self.before = np.empty(0), np.empty(0, np.int64)
        self.times: np.ndarray = np.empty((0, 1))
        self.counts: np.ndarray = np.empty((0, 1), np.int64)

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        index = period_at(t_s, self.window_s)
        if rows is None:
            if index not in self.windows:
                self.windows[index] = self._window(np.array([index]), None)
            times, counts, before = self.windows[index]
            level, end_s = self._at(times, counts, before, np.array([t_s]))
            return float(level[0]), float(end_s[0])
        self._keep(rows, index)
        return self._at(self.times[rows], self.counts[rows], self.before[rows], t_s)

    def _at(
        self, times: np.ndarray, counts: np.ndarray, before: np.ndarray, t_s: np.ndarray
    ) -> tuple[Any, Any]:
        after = (times <= t_s[:, None]).sum(axis=1)
        every = np.arange(len(t_s))
        return self.level(np.where(after > 0, counts[every, after - 1], before)), times[every, after]

    def _window(
        self, index: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(m, M) times and (m, M) counts, (m,) jobs before them, of window `index` of each client."""
        begin_s, end_s = index * self.window_s, (index + 1) * self.window_s
        _, gone_before_s = self._arrivals(index - 1, rows)
        come_s, gone_s = self._arrivals(index, rows)
        before = (gone_before_s > begin_s[:, None]).sum(axis=1)
        times = np.hstack([come_s, gone_s, gone_before_s, end_s[:, None]])
        step = np.repeat([1, -1, -1, 0], [come_s.shape[1], gone_s.shape[1], gone_before_s.shape[1], 1])
        inside = (times > begin_s[:, None]) & (times < end_s[:, None])
        own = 2 * come_s.shape[1]
        inside[:, :own] |= times[:, :own] == begin_s[:, None]
        times = np.where(inside, times, end_s[:, None])
        order = np.argsort(times, axis=1, kind="stable")
        steps = np.take_along_axis(np.where(inside, step, 0), order, axis=1)
        return np.take_along_axis(times, order, axis=1), before[:, None] + steps.cumsum(axis=1), before

    def _arrivals(self, index: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(m, A) when the jobs of a window come and when they leave; inf and -inf where there are fewer."""
        key = index.astype(np.int64) + 1
        source = rng_of(self.rng, rows)("window", int(key[0]) if rows is None else key)
        drawn, n = poisson_then(self.mean, 2, source)  # type: ignore[arg-type]
        place = np.arange(n.max(initial=0)) < np.atleast_1d(n)[:, None]
        come_s, gone_s = np.full(place.shape, np.inf), np.full(place.shape, -np.inf)
        end_s = np.repeat((index + 1) * self.window_s, n)
        come_s[place] = np.minimum(np.repeat(index * self.window_s, n) + drawn[0] * self.window_s, end_s)
        gone_s[place] = come_s[place] + drawn[1] * self.window_s
        return come_s, gone_s

    def _keep(self, rows: np.ndarray, index: np.ndarray) -> None:
        """Draws and keeps the current windows of these rows."""
        if not len(self.index):
            n = len(self.rng.client_id)  # type: ignore[attr-defined]
            self.index, self.before = np.full(n, -2.0), np.zeros(n, np.int64)
            self.times, self.counts = np.empty((n, 1)), np.zeros((n, 1), np.int64)
        fresh = self.index[rows] != index
        rows, index = rows[fresh], index[fresh]
        if not len(rows):
            return
        times, counts, before = self._window(index, rows)
        wider = times.shape[1] - self.times.shape[1]
        if wider > 0:
            self.times = np.pad(self.times, ((0, 0), (0, wider)), mode="edge")
            self.counts = np.pad(self.counts, ((0, 0), (0, wider)), mode="edge")
        elif wider < 0:
            times, counts = (np.pad(a, ((0, 0), (0, -wider)), mode="edge") for a in (times, counts))
        self.times[rows], self.counts[rows] = times, counts
        self.before[rows], self.index[rows] = before, index
