"""Clocks by hand: levels and times of each random profile where the numbers that it draws are given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drawn import given
from scipy.special import ndtr

from distreal_sim.devices import jobs
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.profiles.bursty import Bursty
from distreal_sim.devices.profiles.contention import Contention
from distreal_sim.devices.profiles.diurnal import Diurnal
from distreal_sim.devices.profiles.lognormal import Lognormal
from distreal_sim.devices.profiles.product import Product, product
from distreal_sim.devices.profiles.random_walk import RandomWalk
from distreal_sim.devices.profiles.sum import Sum
from distreal_sim.devices.profiles.uncertain import Uncertain


def pieces(line: Any, until_s: float) -> list[tuple[float, float]]:
    """(end, level) of the pieces from 0 on; equal neighbours are one."""
    found: list[tuple[float, float]] = []
    t_s = 0.0
    while t_s < until_s:
        level, t_s = line.piece(t_s)
        if found and found[-1][1] == level:
            found.pop()
        found.append((t_s, level))
    return found


def test_diurnal() -> None:
    """A day of 8 s in 4 pieces from 0 to 1: (1 - cos(45, 135, 225, 315 degrees)) / 2 = a, b, b, a with
    a = 0.146 and b = 0.854. Days of clients that draw 0, 0.25, 0.5 and 0.75 begin 0, 1, 2 and 3 pieces ahead.
    At 100 MAC/s the first has done 100 x 2 s x (a + b) = 200 MACs at t = 4, and 341.4 more at t = 8 + 2 - 4;
    the second, b b a a, needs 2 s for its first 170.7 and has done 341.4 at t = 4.
    """
    a, b = (1 - math.sqrt(0.5)) / 2, (1 + math.sqrt(0.5)) / 2
    days = [(a, b, b, a), (b, b, a, a), (b, a, a, b), (a, a, b, b)]
    profile = Diurnal(low=0, high=1, period_s=8, steps=4)
    lines = [profile.timeline(i, given(zone=[i / 4]), 10.0) for i in range(4)]
    for line, day in zip(lines, days, strict=True):
        for k in range(12):
            level, end_s = line.piece(2.0 * k + 1)
            assert (level, end_s) == (pytest.approx(day[k % 4]), 2.0 * (k + 1))
    assert Capacity(lines[0], 100.0, 0.0).finish(0.0, 200) == pytest.approx(4.0)
    assert Capacity(lines[1], 100.0, 0.0).finish(0.0, 200 * b) == pytest.approx(2.0)
    assert Capacity(lines[1], 100.0, 0.0).offered(0.0, 4.0) == pytest.approx(400 * b)
    same = Diurnal(period_s=8, steps=4, time_zones=0).timeline(0, given(zone=[0.9]), 10.0)
    assert same.piece(1.0)[0] == pytest.approx(0.1 + 0.9 * a)


def test_random_walk() -> None:
    """Correlation 1/2 from step to step (memory of 1 / ln 2 steps), so 10 steps are remembered; steps of 5 s.
    All normal numbers are 0 but e(-10) = 8, which begins the memory, e(0) = 1 and e(2) = -8. With
    s = sqrt(3/4): x(0) = 8 / 1024 + s = 0.874, x(1) = x(0) / 2, x(2) = x(0) / 4 - 8 s = -6.71,
    x(3) = x(2) / 2. Levels are 1 + 0.2 x, cut at 0 and 1.1: 1.1, 1.087, 0 and 0.329.
    """
    s = math.sqrt(0.75)
    zero = [0.5] * 10
    before = [1 - float(ndtr(-8.0)), *zero[1:]]  # 1 less 6e-16 is a float near by: 8 to two places
    now = [float(ndtr(1.0)), 0.5, float(ndtr(-8.0)), *zero[3:]]
    walk = RandomWalk(mean=1, std=0.2, low=0, high=1.1, memory_rounds=0.5 / math.log(2), changes_per_round=2)
    line = walk.timeline(0, given(window={0: before, 1: now}), 10.0)
    x0 = s + 8 / 1024
    x = [x0, x0 / 2, x0 / 4 - 8 * s]
    expected = [1.1, 1 + 0.2 * x[1], 0.0, 1 + 0.2 * x[2] / 2]
    assert [line.piece(5.0 * k) for k in range(4)] == [
        (pytest.approx(level, abs=1e-4), 5.0 * (k + 1)) for k, level in enumerate(expected)
    ]
    assert expected[3] == pytest.approx(0.33, abs=0.01)
    done = Capacity(line, 10.0, 0.0).offered(0.0, 15.0)
    assert done == pytest.approx(50 * (expected[0] + expected[1]), abs=0.01)


ARRIVALS = {0: [[0.9], [0.25]], 1: [[0.4, 0.2], [0.3, 0.3]]}
"""Times and durations of the jobs of windows -1 and 0, in windows of 10 s. One comes at -1 and stays 2.5 s;
others come at 4 and 2 and stay 3 s each: n = 1 until 1.5, 0 until 2, 1 until 4, 2 until 5, 1 until 7,
then 0."""


@pytest.fixture
def jobs_given(monkeypatch: pytest.MonkeyPatch) -> Any:
    def drawn(mean: float, per_event: int, key: int) -> tuple[np.ndarray, np.ndarray]:
        own = np.array(ARRIVALS.get(key, [[], []]))
        return own, np.array(own.shape[1])

    monkeypatch.setattr(jobs, "poisson_then", drawn)
    return lambda purpose, key: key


def test_contention(jobs_given: Any) -> None:
    """Levels are 1 / (1 + n). At 60 MAC/s: 45 + 30 + 60 + 20 = 155 MACs are done at t = 5, 215 at 7."""
    line = Contention(job_rounds=0.5).timeline(0, jobs_given, 10.0)
    half = 1 / 2
    assert pieces(line, 10.0) == [
        (pytest.approx(end_s), level)
        for end_s, level in [(1.5, half), (2, 1), (4, half), (5, 1 / 3), (7, half), (10, 1)]
    ]
    capacity = Capacity(line, 60.0, 0.0)
    assert capacity.finish(0.0, 155) == pytest.approx(5.0)
    assert capacity.finish(0.0, 215) == pytest.approx(7.0)
    one = Contention(job_rounds=0.5, most_jobs=1).timeline(0, jobs_given, 10.0)
    assert one.piece(4.5)[0] == half


def test_bursty(jobs_given: Any) -> None:
    """With m = 1 burst at a time, 63 % of the time, and one a round of 5 s, bursts last 5 s in the mean:
    windows of 10 s. They hold until 1.5 and from 2 to 7: at level 2, and 0.5 between them, 10 MAC/s have done
    30 + 2.5 + 100 = 132.5 MACs at 7.
    """
    bursty = Bursty(idle=0.5, burst=2, share=1 - math.exp(-1), bursts_per_round=1)
    line = bursty.timeline(0, jobs_given, 5.0)
    assert pieces(line, 10.0) == [
        (pytest.approx(end_s), level) for end_s, level in [(1.5, 2), (2, 0.5), (7, 2), (10, 0.5)]
    ]
    assert Capacity(line, 10.0, 0.0).finish(0.0, 132.5) == pytest.approx(7.0)


def test_uncertain() -> None:
    """The number 0.5 takes the second of two classes, of mean 0.6, and 0.9 the second sigma, 0.1. Normal
    numbers 0, 1 and -2 in rounds 0 to 2 leave 0.6, 0.5 and 0.4; 8 would leave -0.2, and leaves `low`.
    """
    shorts = {k: [float(ndtr(z))] for k, z in enumerate([0.0, 1.0, -2.0, 8.0])}
    uncertain = Uncertain(means=(0.3, 0.6), shares=(), sigmas=(0.5, 0.1), low=0.05)
    line = uncertain.timeline(0, given(**{"class": [0.5], "sigma": [0.9], "short": shorts}), 10.0)
    levels = [line.piece(10.0 * k + 3) for k in range(4)]
    expected = [0.6, 0.5, 0.4, 0.05]
    assert levels == [(pytest.approx(level), 10.0 * (k + 1)) for k, level in enumerate(expected)]


def test_lognormal() -> None:
    """cv^2 = e - 1: the logarithm has variance 1. z = 0.5 gives the mean, 0.4, and z = -0.5 the e-th part."""
    profile = Lognormal(mean=0.4, cv=math.sqrt(math.e - 1))
    levels = [profile.timeline(0, given(level=[float(ndtr(z))]), 1.0).level for z in (0.5, -0.5)]
    assert levels == [pytest.approx(0.4), pytest.approx(0.4 / math.e)]


def test_product_and_sum(jobs_given: Any) -> None:
    """Levels 1/2, 1, 1/2, 1/3, 1/2 and 1 of `contention`, half as much and 0.2 more; and the nested one."""
    half = {"name": "constant", "level": 0.5}
    parts = [half, {"name": "contention", "job_rounds": 0.5}]
    line = Product(parts=parts).timeline(0, jobs_given, 10.0)
    assert [level for _, level in pieces(line, 10.0)] == [0.25, 0.5, 0.25, 1 / 6, 0.25, 0.5]
    more = Sum(parts=[{"name": "constant", "level": 0.2}, {"name": "product", "parts": parts}])
    levels = [level for _, level in pieces(more.timeline(0, jobs_given, 10.0), 10.0)]
    assert levels == [0.2 + level for level in (0.25, 0.5, 0.25, 1 / 6, 0.25, 0.5)]
    assert more.lower_bound() == 0.2 + 0.5 / 8
    assert product(np.array([0.0, math.inf])) == 0
    assert product(np.array([[2.0, 0.0], [3.0, 5.0]])).tolist() == [6.0, 0.0]
