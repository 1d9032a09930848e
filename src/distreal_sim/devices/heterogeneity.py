"""How unequal a fleet is, in numbers.

`rounds_in_time` and `time_of_trips` are DevMC-R and DevMC-T of Zhang et al. FLHetBench: Benchmarking Device
and State Heterogeneity in Federated Learning. CVPR 2024; with states and equal times StatMC-R and StatMC-T,
with states and the clients' own times InterMC-R and InterMC-T. Differs from the paper: the times that clients
need for their work stand in place of times of transfers, c is computed from the arguments, rounds of the R
numbers follow each other without a pause, and an order statistic takes the place of the interpolated
percentile, so that a round ends when a client is done.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

PAUSE_S = 20.0
"""Seconds between two rounds in FLHetBench."""

ENOUGH = 0.8
"""Share of the clients after which a round of `time_of_trips` ends."""


MOST_WAITS = 1000
"""Rounds in a row for which nobody is there, after which no more are waited for."""


class States(Protocol):
    """When clients are there; work of one that is away pauses."""

    def there(self, t_s: float) -> np.ndarray:
        """(n,) bool: which of them are there."""
        ...

    def lasts_s(self, client: int, t_s: float, work_s: float) -> float:
        """Seconds from t_s until a client has done so many seconds of work; inf for never."""
        ...


class Spread(NamedTuple):
    """Speeds of clients: mean, coefficient of variation, and ratios of fast to slow ones."""

    mean: float
    cv: float
    p90_to_p10: float
    max_to_min: float


def spread_of(speeds: np.ndarray) -> Spread:
    """speeds: (n,), finite; ratios to a speed of 0 are infinite."""
    low, high = np.percentile(speeds, [10, 90])
    mean = float(speeds.mean())
    cv = float(speeds.std()) / mean if mean else math.nan
    return Spread(mean, cv, _ratio(high, low), _ratio(speeds.max(), speeds.min()))


def _ratio(high: float, low: float) -> float:
    return float(high / low) if low > 0 else math.nan if high == 0 else math.inf


class InTime(NamedTuple):
    """score: DevMC-R in [0, 1], 1 if nobody is ever late; share: jobs that were in time."""

    score: float
    share: float


def rounds_in_time(
    times_s: np.ndarray,
    deadline_s: float,
    per_round: int,
    rounds: int,
    rng: np.random.Generator,
    states: States | None = None,
) -> InTime:
    """ln(1 + sum_i min(S_i, c)) / ln(1 + c n) after so many rounds of `per_round` of the n clients.

    times_s: (n,) of the clients' work; S_i: how often client i was in time; c = rounds x per_round / n, its
    part of all jobs. states: those who are there when a round begins can be selected; None: always all.
    """
    n = len(times_s)
    done = np.zeros(n, np.int64)
    for number in range(rounds):
        start_s = number * deadline_s
        chosen = _chosen(n, per_round, rng, None if states is None else states.there(start_s))
        done[chosen] += _lasts_s(times_s, chosen, start_s, states) <= deadline_s
    cap = rounds * per_round / n
    score = math.log1p(float(np.minimum(done, cap).sum())) / math.log1p(cap * n)
    return InTime(score, float(done.sum()) / (rounds * per_round))


def time_of_trips(
    times_s: np.ndarray,
    per_round: int,
    trips: int,
    rng: np.random.Generator,
    states: States | None = None,
) -> float:
    """DevMC-T: time of so many trips, relative to that of clients that need none; at least 1.

    A trip is one client's part in a round; a round takes PAUSE_S and the time after which ENOUGH of its
    clients are done; while nobody is there, only PAUSE_S. inf where nobody comes or comes back.
    """
    elapsed_s, n_trips, n_waits = 0.0, 0, 0
    while n_trips < trips:
        there = None if states is None else states.there(elapsed_s)
        chosen = _chosen(len(times_s), per_round, rng, there)
        lasts_s = np.sort(_lasts_s(times_s, chosen, elapsed_s, states))
        elapsed_s += PAUSE_S
        if len(chosen):
            elapsed_s += float(lasts_s[math.ceil(ENOUGH * len(chosen) - 1e-9) - 1])
        n_trips += len(chosen)
        n_waits = 0 if len(chosen) else n_waits + 1
        if n_waits > MOST_WAITS or elapsed_s == math.inf:
            return math.inf
    return elapsed_s / (math.ceil(trips / per_round) * PAUSE_S)


def _chosen(n: int, per_round: int, rng: np.random.Generator, there: np.ndarray | None) -> np.ndarray:
    able = np.arange(n) if there is None else np.flatnonzero(there)
    return rng.choice(able, per_round, replace=False) if per_round < len(able) else able


def _lasts_s(times_s: np.ndarray, chosen: np.ndarray, start_s: float, states: States | None) -> np.ndarray:
    """(m,) seconds until each of the chosen is done."""
    if states is None:
        return np.asarray(times_s[chosen])
    return np.array([states.lasts_s(c, start_s, times_s[c]) for c in chosen.tolist()])
