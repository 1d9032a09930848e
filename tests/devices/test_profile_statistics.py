"""The distributions that the capacity profiles promise, over many clients and long times."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from distreal_sim.base.rng import Rngs
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.profiles.markov import Markov
from distreal_sim.devices.profiles.tiers import Tiers
from distreal_sim.devices.profiles.uniform import Uniform


def timelines(profile: Profile, n: int, deadline_s: float = 10.0) -> list[Timeline]:
    return [profile.timeline(c, Rngs(8, (c,)), deadline_s) for c in range(n)]


def walk(line: Timeline, until_s: float) -> list[tuple[float, float, float]]:
    pieces, t_s = [], 0.0
    while t_s < until_s:
        level, end_s = line.piece(t_s)
        pieces.append((t_s, min(end_s, until_s), level))
        t_s = end_s
    return pieces


def changes(line: Timeline, until_s: float) -> int:
    """How often the level really changes."""
    levels = [level for _, _, level in walk(line, until_s)]
    return int(np.count_nonzero(np.diff(levels)))


def test_tiers_shares() -> None:
    """4,000 clients, shares 0.5, 0.3, 0.2, 0: standard deviation of a share at most sqrt(0.25 / 4000) =
    0.008; five of them. A tier without a share has no client; a client's tier never changes.
    """
    lines = timelines(Tiers(levels=(0.1, 0.5, 1.0, 9.0), shares=(0.5, 0.3, 0.2, 0.0)), 4000)
    counts = Counter(line.piece(0.0)[0] for line in lines)
    assert [counts[level] / 4000 for level in (0.1, 0.5, 1.0)] == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    assert counts[9.0] == 0
    assert all(line.piece(0.0) == line.piece(1e9) for line in lines)


def test_tiers_are_equal_without_shares() -> None:
    counts = Counter(line.piece(0.0)[0] for line in timelines(Tiers(levels=(1.0, 2.0, 3.0, 4.0)), 4000))
    assert [counts[level] / 4000 for level in (1.0, 2.0, 3.0, 4.0)] == pytest.approx([0.25] * 4, abs=0.035)


def test_markov_shares_of_time() -> None:
    """300 clients over 100 rounds with 2 draws each: 60,000 independent draws, each weighted by an
    exponential duration (which doubles the variance): standard deviation of a share at most
    sqrt(2 * 0.25 / 60000) = 0.003; five of them. The shares hold at time 0 too (300 clients: 0.029; five).
    """
    profile = Markov(levels=(0.1, 0.5, 1.0), shares=(0.6, 0.3, 0.1), changes_per_round=2.0)
    lines = timelines(profile, 300)
    time: Counter[float] = Counter()
    for line in lines:
        for from_s, to_s, level in walk(line, 1000.0):
            time[level] += to_s - from_s
    shares = [time[level] / 300_000 for level in (0.1, 0.5, 1.0)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.015)
    first = Counter(line.piece(0.0)[0] for line in lines)
    assert [first[level] / 300 for level in (0.1, 0.5, 1.0)] == pytest.approx([0.6, 0.3, 0.1], abs=0.14)


def test_markov_number_of_changes() -> None:
    """With shares 1/2, 1/2, half of the draws repeat the level: 3 draws a round are 1.5 changes a round.
    200 clients over 50 rounds: 15,000 expected, Poisson-thinned, standard deviation sqrt(15000) = 122; five.
    The changes of a client in a round have the variance of a Poisson process (1.5), not of a clock (0).
    """
    lines = timelines(Markov(levels=(0.0, 1.0), changes_per_round=3.0), 200)
    per_client = [changes(line, 500.0) for line in lines]
    assert sum(per_client) == pytest.approx(15_000, abs=5 * 122)
    assert np.var(per_client) == pytest.approx(75, rel=0.5)  # 50 rounds x 1.5; sd of a variance of 200: 10 %


def test_markov_waits_are_exponential() -> None:
    """Times between changes of a two-level chain with 3 draws per 10 s: exponential, mean 10 / 1.5 s. The
    Kolmogorov-Smirnov distance of n samples exceeds 2 / sqrt(n) with probability 7e-4; the windows in which
    the process is drawn (4 draws each) leave no trace.
    """
    line = timelines(Markov(levels=(0.0, 1.0), changes_per_round=3.0), 1)[0]
    pieces = walk(line, 30_000.0)
    times = [b[0] for a, b in pairwise(pieces) if a[2] != b[2]]
    waits = np.diff(times)
    assert len(waits) > 4000
    assert kstest(waits, "expon", args=(0, 10 / 1.5)).statistic < 2 / np.sqrt(len(waits))


def test_markov_rate_spread() -> None:
    """log(rate / changes_per_round) / log(spread) ~ U(-1, 1), with mean 0 and variance 1/3: measured by
    counting the draws of 60 clients over 300 rounds (75 to 1,200 draws each, so within 12 % or, in units of
    log 4, 0.08). Standard deviations of mean and variance: 0.075 and 0.04; four of them.
    """
    many = tuple(float(i) for i in range(1, 1001))  # so many levels that a draw hardly ever repeats one
    profile = Markov(levels=many, changes_per_round=1.0, rate_spread=4.0)
    rates = np.array([changes(line, 3_000.0) / 300 for line in timelines(profile, 60)])
    logs = np.log(rates) / np.log(4.0)
    assert np.abs(logs).max() < 1.15
    assert logs.mean() == pytest.approx(0, abs=0.3)
    assert logs.var() == pytest.approx(1 / 3, abs=0.16)
    same = Markov(levels=many, changes_per_round=1.0)
    assert np.var([changes(line, 3_000.0) / 300 for line in timelines(same, 60)]) < 0.01


def test_markov_without_changes_stays() -> None:
    lines = timelines(Markov(levels=(0.2, 0.4), shares=(0.25, 0.75), changes_per_round=0.0), 2000)
    assert all(line.piece(0.0) == line.piece(1e7) for line in lines)
    share = np.mean([line.piece(0.0)[0] == 0.2 for line in lines])
    assert share == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 2000))


def test_uniform_base() -> None:
    """Levels of 2,000 clients are U(0.2, 1.2); the Kolmogorov-Smirnov distance stays below 2 / sqrt(2000)."""
    levels = [line.piece(0.0)[0] for line in timelines(Uniform(low=0.2, high=1.2), 2000)]
    assert kstest(levels, "uniform", args=(0.2, 1.0)).statistic < 2 / np.sqrt(2000)


def test_uniform_redraws() -> None:
    """4 redraws per 10 s: a fresh factor, U(0.5, 1.5), at every multiple of 2.5 s and only there. The factors
    of a client of base 1 are independent: correlation of neighbours below 5 / sqrt(2000).
    """
    line = timelines(Uniform(low=1.0, high=1.0, jitter=0.5, changes_per_round=4), 1)[0]
    pieces = walk(line, 5000.0)
    assert [to_s for _, to_s, _ in pieces] == [2.5 * (i + 1) for i in range(2000)]
    factors = np.array([level for _, _, level in pieces])
    assert kstest(factors, "uniform", args=(0.5, 1.0)).statistic < 2 / np.sqrt(2000)
    assert abs(np.corrcoef(factors[:-1], factors[1:])[0, 1]) < 5 / np.sqrt(2000)
