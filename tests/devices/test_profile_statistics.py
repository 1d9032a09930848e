"""The distributions that the capacity profiles promise, over many clients and long times."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from distreal_sim.base.rng import Rngs
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.profiles.bursty import Bursty
from distreal_sim.devices.profiles.contention import Contention
from distreal_sim.devices.profiles.lognormal import Lognormal
from distreal_sim.devices.profiles.markov import Markov
from distreal_sim.devices.profiles.random_walk import RandomWalk
from distreal_sim.devices.profiles.tiers import Tiers
from distreal_sim.devices.profiles.uncertain import Uncertain
from distreal_sim.devices.profiles.uniform import Uniform
from distreal_sim.devices.rngs import ClientRngs


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


def many(profile: Profile, n: int, deadline_s: float = 10.0) -> Any:
    """The timelines of n clients at once, and their rows."""
    ids = np.arange(n)
    return profile.timeline(ids, ClientRngs(8, "profile", ids), deadline_s), ids  # type: ignore[arg-type]


def test_contention_is_a_poisson_number_of_jobs() -> None:
    """Of 20,000 clients at t = 33 s the share with n jobs is 1.5^n exp(-1.5) / n!, to within five standard
    deviations, 5 sqrt(0.25 / 20000) = 0.018; n is no more than 20. A second later, jobs of 10 s in the mean,
    the covariance is the mean number of those that stay: 1.5 x the mean over their durations u in [0, 20) of
    (u - 1)+ / 10 = 1.5 x 19^2 / 20^2 = 1.354.
    """
    line, rows = many(Contention(jobs=1.5, job_rounds=1.0, most_jobs=20), 20_000)
    first, later = (1 / line.piece(np.full(20_000, t_s), rows)[0] - 1 for t_s in (33.0, 34.0))
    for n in range(6):
        assert np.mean(np.round(first) == n) == pytest.approx(
            1.5**n * math.exp(-1.5) / math.factorial(n), abs=0.018
        )
    assert np.cov(first, later)[0, 1] == pytest.approx(1.354, abs=0.1)


@pytest.mark.slow
def test_bursty_share() -> None:
    """30 % of 20,000 clients are in a burst, to within 0.016; two bursts of a round begin in the mean."""
    profile = Bursty(idle=0, burst=1, share=0.3, bursts_per_round=2)
    line, rows = many(profile, 20_000)
    for t_s in (0.0, 4.9, 1e6):
        assert np.mean(line.piece(np.full(20_000, t_s), rows)[0]) == pytest.approx(0.3, abs=0.016)
    (one,) = timelines(profile, 1)
    arrivals = changes(one, 50_000.0) / 2  # a burst that begins in another is no change: 70 % begin alone
    assert arrivals == pytest.approx(0.7 * 10_000, rel=0.05)


def test_random_walk_reverts_to_its_mean() -> None:
    """Of 20,000 clients, uncut: mean 5, standard deviation 0.3 to within 0.008, and the correlation over one
    and four rounds is exp(-1/2) and exp(-2) to within 0.035, also across the windows of 28 changes.
    """
    walk = RandomWalk(mean=5, std=0.3, low=0, high=99, memory_rounds=2, changes_per_round=2)
    line, rows = many(walk, 20_000)
    levels = {k: line.piece(np.full(20_000, 10.0 * k), rows)[0] for k in (12, 13, 16)}
    for own in levels.values():
        assert own.mean() == pytest.approx(5, abs=0.011)
        assert own.std() == pytest.approx(0.3, abs=0.008)
    for k, correlation in ((13, math.exp(-1 / 2)), (16, math.exp(-2))):
        assert np.corrcoef(levels[12], levels[k])[0, 1] == pytest.approx(correlation, abs=0.035)


def test_uncertain_is_below_the_mean() -> None:
    """|N(0, 0.1)| has mean 0.1 sqrt(2 / pi) = 0.0798 and standard deviation 0.0603: 20,000 clients in two
    rounds, independent to within 5 / sqrt(20000) = 0.035.
    """
    line, rows = many(Uncertain(means=(0.8,), shares=(), sigmas=(0.1,)), 20_000)
    first, second = (line.piece(np.full(20_000, t_s), rows)[0] for t_s in (5.0, 15.0))
    assert first.max() <= 0.8
    assert first.mean() == pytest.approx(0.8 - 0.0798, abs=0.0022)
    assert first.std() == pytest.approx(0.0603, abs=0.002)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.035


@pytest.mark.parametrize(
    ("sigmas", "strong", "medium"),
    [
        ((0.05, 0.08, 0.1), 0.8086, (0.0193, 0.1720, 0.8086)),
        ((0.0,), 1.0, (0.0, 0.0, 1.0)),
        ((0.1, 0.2, 0.3), 0.4422, (0.2893, 0.2685, 0.4422)),
    ],
)
def test_uncertain_in_the_three_variants(
    sigmas: tuple[float, ...], strong: float, medium: tuple[float, float, float]
) -> None:
    """What FlexFL's law allows: the whole network from 1.0 on, members 2 and 1 from 0.5 and 0.4 on.

    P(|N(0, s)| <= 0.1) = erf(0.1 / (s sqrt 2)) in the mean over the sigmas: (0.9545 + 0.7887 + 0.6827) / 3
    and (0.6827 + 0.3829 + 0.2611) / 3; <= 0.2 in the same way. Strong clients have the mean 1.1, medium ones
    0.6, and weak ones 0.35, below 0.4 in any case. 20,000 draws, 5 standard errors.
    """
    n = 20_000

    def levels(mean: float) -> np.ndarray:
        line, rows = many(Uncertain(means=(mean,), shares=(), sigmas=sigmas), n)
        found: np.ndarray = line.piece(np.full(n, 5.0), rows)[0]
        return found

    def near(share: float, expected: float) -> bool:
        return abs(share - expected) <= 5 * math.sqrt(expected * (1 - expected) / n) + 5e-5

    within = [np.mean([math.erf(d / (s * math.sqrt(2))) if s else 1.0 for s in sigmas]) for d in (0.1, 0.2)]
    assert [1 - within[1], within[1] - within[0], within[0]] == pytest.approx(medium, abs=5e-5)
    assert near((levels(1.1) >= 1.0).mean(), strong)
    allowed = np.bincount(np.digitize(levels(0.6), [0.4, 0.5]), minlength=3) / n
    assert all(map(near, allowed.tolist(), medium))
    assert levels(0.35).max() < 0.4


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0])
def test_lognormal_changes_its_spread_only(cv: float) -> None:
    """20,000 levels: the mean is 0.4 to within five of its standard deviations, the cv to within 10 %."""
    levels = many(Lognormal(mean=0.4, cv=cv), 20_000)[0].level
    assert levels.mean() == pytest.approx(0.4, abs=5 * 0.4 * cv / math.sqrt(20_000) + 1e-12)
    assert levels.std() / levels.mean() == pytest.approx(cv, rel=0.1, abs=1e-9)
