"""When does thinning pay? The found front against fewer steps of the full network, for every budget.

A client that cannot afford all steps of the full network may as well take fewer of them. Its progress is
measured after many shares of the steps, each the next one's divided by the root of two; the curve goes
straight from (0, 0) to the first and from one to the next, so that it is concave where progress is, and stays
level where more steps do harm. The front's curve goes straight from entry to entry, as clients do that look
up again before every step. Where a client looks up the full network it takes fewer steps of it: from such an
entry to the next one the front is as good as fewer full steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

GRID = 1000
"""Relative MACs are looked at in steps of 1 / GRID."""

EQUAL = 1e-9
"""Smaller differences, relative to the full network's progress, are rounding."""

GAP = 0.05
"""Ranges nearer to each other than this are one: the bounds of an interval are noisy themselves."""

Range = tuple[float, float]
"""Of relative training MACs, or of a value: from, to."""


@dataclass(frozen=True)
class Difference:
    """Progress of the front minus that of fewer full steps, relative to that of all full steps.

    interval: its 95 % bootstrap interval, point by point.
    """

    relative_macs: float
    value: float
    interval: Range


@dataclass(frozen=True)
class Worth:
    """Where a front lies above fewer full steps, in relative MACs from its cheapest entry to 1.

    pays, loses: the interval of the difference lies above 0, or below; pays_in_the_mean: the mean does;
    gaps below GAP are ignored;
    best, worst: the largest and the smallest mean difference below the full MACs, the smallest of those where
    it loses if it does.
    """

    pays: tuple[Range, ...]
    pays_in_the_mean: tuple[Range, ...]
    loses: tuple[Range, ...]
    best: Difference
    worst: Difference


def stretched(rows: np.ndarray, n_repeats: int, n_snapshots: int = 1) -> np.ndarray:
    """Resampled means, moved away from the measured ones, so that percentiles hold for few repeats too.

    rows: (1 + R, ...), the measured means over the repeats of n_snapshots first, then resampled ones. These
    have sqrt((n - 1) / n) of the spread of means of n values, and take that spread for known, so that the
    95 % percentiles of two repeats hold the truth 70 times in a hundred. Stretched by sqrt(n / (n - 1)), and
    by the t quantile over the normal one, they are as wide as a t interval. T. Hesterberg, What Teachers
    Should Know About the Bootstrap, 2015, has both corrections.
    """
    n_free = n_snapshots * (n_repeats - 1)
    factor = math.sqrt(n_repeats / (n_repeats - 1)) * stdtrit(n_free, 0.975) / ndtri(0.975)
    return np.concatenate([rows[:1], rows[:1] + factor * (rows[1:] - rows[:1])])


def fewer_steps(shares: Sequence[float], scores: Sequence[float], costs: np.ndarray) -> np.ndarray:
    """Progress of as many full steps as each of the costs allows; shares growing."""
    heights: np.ndarray = np.interp(costs, [0.0, *shares], np.maximum.accumulate([0.0, *scores]))
    return heights


def of_front(
    entries: Sequence[float],
    scores: Sequence[float] | np.ndarray,
    full: Sequence[bool],
    costs: np.ndarray,
    rival: np.ndarray,
) -> np.ndarray:
    """Progress with a front at each of the costs; below its first entry that of the first.

    entries: costs of its entries, growing, with their scores; full: which of them are the full network, from
    which to the next one a client takes full steps; rival: progress of those, at the costs.
    """
    looked_up = np.searchsorted(entries, costs, side="right") - 1
    takes_full = (looked_up >= 0) & np.array(full)[looked_up]
    heights: np.ndarray = np.where(takes_full, rival, np.interp(costs, entries, scores))
    return heights


def worth_of(
    found_costs: Sequence[float],
    found: np.ndarray,
    shares: Sequence[float],
    steps: np.ndarray,
    full: Sequence[bool] | None = None,
) -> Worth | None:
    """Compares a front with fewer full steps.

    found: (1 + R, n_entries), steps: (1 + R, n_shares) scores, the measured ones in row 0, resampled ones in
    the others; costs and shares growing, the last of each is 1; full: which entries are the full network, for
    all or for fewer steps; the last one alone if not given. None where all full steps together make no
    progress.
    """
    if steps[0, -1] <= 0:
        return None
    grid = np.arange(math.ceil(found_costs[0] * GRID), GRID) / GRID
    costs = np.unique([*grid, *(cost for cost in found_costs if cost < 1)])
    if not len(costs):
        costs = np.array([1.0])
    whole = full if full is not None else [*[False] * (len(found_costs) - 1), True]
    rows = []
    for own, all_steps in zip(found, steps, strict=True):
        if all_steps[-1] > 0:
            rival = fewer_steps(shares, all_steps, costs)
            rows.append((of_front(found_costs, own, whole, costs, rival) - rival) / all_steps[-1])
    mean = rows[0]
    low, high = np.percentile(rows[1:], [2.5, 97.5], axis=0)
    loses = np.maximum(high, mean) < -EQUAL

    def difference(index: int) -> Difference:
        interval = float(low[index]), float(high[index])
        return Difference(float(costs[index]), float(mean[index]), interval)

    return Worth(
        ranges(costs, np.minimum(low, mean) > EQUAL),
        ranges(costs, mean > EQUAL),
        ranges(costs, loses),
        difference(int(np.argmax(mean))),
        difference(int(np.argmin(np.where(loses, mean, np.inf) if loses.any() else mean))),
    )


def ranges(costs: np.ndarray, inside: np.ndarray) -> tuple[Range, ...]:
    """First and last cost of each run of neighbours that are inside; costs growing."""
    found: list[Range] = []
    for cost in costs[inside].tolist():
        if found and cost - found[-1][1] < GAP:
            found[-1] = found[-1][0], cost
        else:
            found.append((cost, cost))
    return tuple(found)
