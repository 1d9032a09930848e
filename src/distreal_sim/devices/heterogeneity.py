"""How unequal a fleet is, in numbers.

`rounds_in_time` and `time_of_trips` are DevMC-R and DevMC-T of Zhang et al. FLHetBench: Benchmarking Device
and State Heterogeneity in Federated Learning. CVPR 2024. Differs from the paper: the times that clients need
for their work stand in place of times of transfers, c is computed from the arguments, and an order statistic
takes the place of the interpolated percentile, so that a round ends when a client is done.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

PAUSE_S = 20.0
"""Seconds between two rounds in FLHetBench."""

ENOUGH = 0.8
"""Share of the clients after which a round of `time_of_trips` ends."""


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
    times_s: np.ndarray, deadline_s: float, per_round: int, rounds: int, rng: np.random.Generator
) -> InTime:
    """ln(1 + sum_i min(S_i, c)) / ln(1 + c n) after so many rounds of `per_round` of the n clients.

    times_s: (n,) of the clients' work; S_i: how often client i was in time; c = rounds x per_round / n, its
    part of all jobs.
    """
    n = len(times_s)
    done = np.zeros(n, np.int64)
    for _ in range(rounds):
        chosen = rng.choice(n, per_round, replace=False) if per_round < n else np.arange(n)
        done[chosen] += times_s[chosen] <= deadline_s
    cap = rounds * per_round / n
    score = math.log1p(float(np.minimum(done, cap).sum())) / math.log1p(cap * n)
    return InTime(score, float(done.sum()) / (rounds * per_round))


def time_of_trips(times_s: np.ndarray, per_round: int, trips: int, rng: np.random.Generator) -> float:
    """DevMC-T: time of so many trips, relative to that of clients that need none; at least 1.

    A trip is one client's part in a round; a round takes PAUSE_S and the time after which ENOUGH of its
    clients are done.
    """
    n, elapsed_s, n_rounds = len(times_s), 0.0, math.ceil(trips / per_round)
    for _ in range(n_rounds):
        chosen = rng.choice(n, per_round, replace=False) if per_round < n else np.arange(n)
        enough = math.ceil(ENOUGH * len(chosen) - 1e-9)
        elapsed_s += PAUSE_S + float(np.sort(times_s[chosen])[enough - 1])
    return elapsed_s / (n_rounds * PAUSE_S)
