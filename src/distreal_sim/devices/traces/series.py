"""Traces ready to be looked up: checked, in order of time, without gaps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.processes import period_at
from distreal_sim.devices.rngs import OneOrMany
from distreal_sim.devices.traces.samples import Samples

Order = Literal["error", "sort"]
Duplicates = Literal["error", "first", "last", "mean"]
Gaps = Literal["hold", "zero", "error"]

MOST_PIECES = 20_000_000
"""Most pieces of all traces of a file, about 320 MB."""


@dataclass(frozen=True, eq=False)
class Series:
    """The traces of n devices, one after another in long arrays.

    names: (n,); first: (n + 1,) index of the first row of each; times_s: (N,) from 0 on, ascending in each
    device; levels: (N,), each holds until the next time; period_s: (n,) after which a trace begins again, inf
    if its last level holds for ever.
    """

    names: tuple[str, ...]
    first: np.ndarray
    times_s: np.ndarray
    levels: np.ndarray
    period_s: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Rules:
    """How the rows of a file become traces; see the options of the profile `trace`."""

    order: Order = "error"
    duplicates: Duplicates = "error"
    gaps: Gaps = "hold"
    largest_gap_s: float | None = None
    step_s: float | None = None
    loop: bool = True
    period_s: float | None = None
    common_clock: bool = False


def series_of(samples: Samples, rules: Rules, path: object) -> Series:
    """The traces of a file: numbered devices in the order of their numbers, others in that of the file.

    Raises InputError naming the file, the device and the time of the first row that breaks a rule.
    """
    names, device = _devices(samples.names)
    n = len(names)
    times_s = np.zeros(len(device)) if samples.times_s is None else samples.times_s
    low = np.flatnonzero(samples.levels < 0)
    if len(low):
        where = _where(path, names[device[low[0]]], times_s[low[0]])
        raise InputError(f"{where} the level is {samples.levels[low[0]]:g}; it must be at least 0")
    device, times_s, levels = _in_order(names, device, times_s, samples.levels, rules, path)
    first = np.searchsorted(device, np.arange(n + 1))
    begin_s = np.full(n, times_s.min()) if rules.common_clock else times_s[first[:-1]]
    times_s = times_s - begin_s[device]
    period_s = _periods(names, first, times_s, rules, path) if samples.times_s is not None else [np.inf] * n
    parts = [
        _filled(names[i], times_s[a:b], levels[a:b], float(period_s[i]), rules, path)
        for i, (a, b) in enumerate(pairwise(first))
    ]
    lengths = [len(own) for own, _ in parts]
    return Series(
        tuple(names),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([own for own, _ in parts]),
        np.concatenate([own for _, own in parts]),
        np.array(period_s) if rules.loop else np.full(n, np.inf),
    )


def _devices(labels: np.ndarray) -> tuple[list[str], np.ndarray]:
    """(names of the devices in order, (rows,) the device of each row)."""
    known = dict.fromkeys(labels.tolist())
    numbered = all(name.isdecimal() for name in known)
    names = sorted(known, key=int) if numbered else list(known)
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place[name] for name in labels.tolist()])


def _in_order(
    names: Sequence[str],
    device: np.ndarray,
    times_s: np.ndarray,
    levels: np.ndarray,
    rules: Rules,
    path: object,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows sorted by device and time, each time of a device once."""
    order = np.argsort(device, kind="stable")
    device, times_s, levels = device[order], times_s[order], levels[order]
    same = device[1:] == device[:-1]
    back = np.flatnonzero(same & (times_s[1:] < times_s[:-1]))
    if len(back) and rules.order == "error":
        row = back[0] + 1
        raise InputError(
            f"{_where(path, names[device[row]], times_s[row])} comes after {times_s[row - 1]:g} s in the "
            "file; set order: sort if that is meant"
        )
    order = np.lexsort((times_s, device))
    device, times_s, levels = device[order], times_s[order], levels[order]
    new = np.concatenate([[True], (device[1:] != device[:-1]) | (times_s[1:] > times_s[:-1])])
    if not new.all() and rules.duplicates == "error":
        row = int(np.argmin(new))
        raise InputError(
            f"{_where(path, names[device[row]], times_s[row])} is there more than once; set duplicates to "
            "first, last or mean"
        )
    start = np.flatnonzero(new)
    stop = np.concatenate([start[1:], [len(new)]])
    if rules.duplicates == "last":
        levels = levels[stop - 1]
    elif rules.duplicates == "mean":
        levels = np.add.reduceat(levels, start) / (stop - start)
    else:
        levels = levels[start]
    return device[start], times_s[start], levels


def _periods(
    names: Sequence[str], first: np.ndarray, times_s: np.ndarray, rules: Rules, path: object
) -> np.ndarray:
    """(n,) the length of each trace: its last time and its median step, or `period_s`."""
    spans = []
    for name, a, b in zip(names, first[:-1], first[1:], strict=True):
        own = times_s[a:b]
        if rules.period_s is not None and own[-1] >= rules.period_s:
            where = _where(path, name, own[-1])
            raise InputError(f"{where} is not before period_s ({rules.period_s:g}), at which it begins again")
        spans.append(own[-1] + np.median(np.diff(own)) if len(own) > 1 else np.inf)
    if rules.period_s is not None:
        return np.full(len(names), rules.period_s)
    finite = [span for span in spans if span < np.inf]
    return np.full(len(spans), max(finite, default=np.inf)) if rules.common_clock else np.array(spans)


def _filled(
    name: str, times_s: np.ndarray, levels: np.ndarray, period_s: float, rules: Rules, path: object
) -> tuple[np.ndarray, np.ndarray]:
    """(times, levels) of one device from time 0 on: gaps are closed, and lines between rows cut to pieces."""
    if times_s[0] > 0:  # a common clock began before this device did
        times_s = np.concatenate([[0.0], times_s])
        levels = np.concatenate([levels[-1:] if rules.loop else levels[:1], levels])
    if rules.largest_gap_s is not None:
        gaps_s = np.diff(times_s, append=period_s if rules.loop and period_s < np.inf else times_s[-1])
        long = np.flatnonzero(gaps_s > rules.largest_gap_s)
        if len(long) and rules.gaps == "error":
            where = _where(path, name, times_s[long[0]])
            gap = f"the next row comes {gaps_s[long[0]]:g} s later"
            raise InputError(f"{where} {gap}, more than largest_gap_s ({rules.largest_gap_s:g})")
        times_s = np.insert(times_s, long + 1, times_s[long] + rules.largest_gap_s)
        levels = np.insert(levels, long + 1, 0.0)
    if rules.step_s is None or len(times_s) == 1:
        return times_s, levels
    return _lines(times_s, levels, period_s if rules.loop else times_s[-1], rules.step_s, path)


def _lines(
    times_s: np.ndarray, levels: np.ndarray, end_s: float, step_s: float, path: object
) -> tuple[np.ndarray, np.ndarray]:
    """Lines between rows, and from the last to the first until end_s, in pieces of step_s: their middles."""
    ends_s, next_levels = np.append(times_s[1:], end_s), np.append(levels[1:], levels[0])
    n_pieces = np.ceil((ends_s - times_s) / step_s - 1e-9).astype(np.int64)
    if n_pieces.sum() > MOST_PIECES:
        raise InputError(f"trace file {path}: step_s ({step_s:g}) gives {n_pieces.sum():,} pieces; raise it")
    row = np.repeat(np.arange(len(times_s)), n_pieces)
    number = np.arange(len(row)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    start_s = times_s[row] + number * step_s
    middle_s = (start_s + np.minimum(start_s + step_s, ends_s[row])) / 2
    share = (middle_s - times_s[row]) / (ends_s - times_s)[row]
    found = levels[row] + (next_levels - levels)[row] * share
    if n_pieces[-1] == 0:  # no way back to the first row: the last level holds
        start_s, found = np.append(start_s, times_s[-1]), np.append(found, levels[-1])
    return start_s, found


def _where(path: object, name: str, t_s: float) -> str:
    return f"trace file {path}: client {name}, t = {t_s:g} s:"


@dataclass(frozen=True, eq=False)
class Played:
    """The timeline of a client that follows a trace, or those of many clients; made by `of`.

    which: the trace of the client, or (n,) of each; offset_s: the time of the trace at which the client's
    time 0 is, or (n,); begin: the row that holds then, or (n,). See `devices.processes` for the two forms of
    `piece`.
    """

    series: Series
    which: OneOrMany
    offset_s: OneOrMany
    begin: OneOrMany

    @classmethod
    def of(cls, series: Series, which: OneOrMany, share: OneOrMany = 0.0) -> Played:
        """share: in [0, 1), of its period with which each trace, which then has one, is ahead."""
        which, share = np.broadcast_arrays(which, share)
        period_s = series.period_s[which]
        offset_s = np.where(np.isinf(period_s), 0.0, share * np.where(np.isinf(period_s), 1.0, period_s))
        begin = [
            np.searchsorted(series.times_s[series.first[i] : series.first[i + 1]], t_s, side="right") - 1
            for i, t_s in zip(which.ravel().tolist(), offset_s.ravel().tolist(), strict=True)
        ]
        return cls(series, which, offset_s, np.array(begin, np.int64).reshape(which.shape))

    def piece(self, t_s: OneOrMany, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        if rows is None:
            return self._piece(float(t_s))
        return self._pieces(t_s, self.which[rows], self.offset_s[rows], self.begin[rows])

    def _piece(self, t_s: float) -> tuple[float, float]:
        """`_pieces` of one client in plain numbers: a clock asks this for every step."""
        own, which, begin, offset_s = self.series, int(self.which), int(self.begin), float(self.offset_s)
        first, period_s = own.first.item(which), own.period_s.item(which)
        length, endless = own.first.item(which + 1) - first, math.isinf(period_s)
        turn = 0.0 if endless else period_at(t_s, period_s)
        turn_s, turn_end_s = (0.0, math.inf) if endless else (turn * period_s, (turn + 1) * period_s)

        def start_s(place: int) -> float:
            wraps = begin + place >= length
            time_s: float = own.times_s.item(first + (begin + place) % length) - offset_s
            return turn_s + (time_s + period_s if wraps else time_s)

        place = bisect_right(range(1, length + 1), t_s, key=start_s)
        end_s = turn_end_s if place == length else min(start_s(place + 1), turn_end_s)
        return own.levels.item(first + (begin + place) % length), end_s

    def _pieces(
        self, t_s: np.ndarray, which: np.ndarray, offset_s: np.ndarray, begin: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(m,) levels and (m,) ends at (m,) times: a binary search for each row, all at once.

        Each turn goes through the rows from `begin` to `begin` again, of which the last has the first part.
        """
        own = self.series
        first, endless = own.first[which], np.isinf(own.period_s[which])
        length, period_s = own.first[which + 1] - first, np.where(endless, 1.0, own.period_s[which])
        turn = np.where(endless, 0.0, period_at(t_s, period_s))
        turn_s, turn_end_s = turn * period_s, np.where(endless, np.inf, (turn + 1) * period_s)

        def starts_s(place: np.ndarray) -> np.ndarray:
            """When the row `place` rows after `begin` starts, in absolute time."""
            wraps = begin + place >= length
            time_s = own.times_s[first + (begin + place) % length] - offset_s
            later_s = np.where(wraps, np.where(endless, np.inf, time_s + period_s), time_s)
            starts: np.ndarray = turn_s + np.where(place == 0, 0.0, later_s)
            return starts

        low, high = np.zeros(len(which), np.int64), length + 1
        while (open_ := high - low > 1).any():
            middle = (low + high) // 2
            before = starts_s(middle) <= t_s
            high = np.where(open_ & ~before, middle, high)
            low = np.where(open_ & before, middle, low)
        last = low >= length
        end_s = np.where(last, turn_end_s, np.minimum(starts_s(np.where(last, 0, low + 1)), turn_end_s))
        return own.levels[first + (begin + low) % length], end_s
