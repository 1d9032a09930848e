"""Processes against plain loops that take numpy's own generators, bit for bit."""

from __future__ import annotations

import math

import numpy as np

from distreal_sim.base.rng import generator
from distreal_sim.devices.processes import Periodic, Poisson, Steady
from distreal_sim.devices.rngs import ClientRngs

IDS = np.array([3, 0, 3, 8])


def walk(process: Poisson | Periodic, until_s: float) -> list[tuple[float, float]]:
    pieces, t_s = [], 0.0
    while t_s < until_s:
        level, t_s = process.piece(t_s)
        pieces.append((level, t_s))
    return pieces


def poisson_by_hand(client: int, rate: float, until_s: float) -> list[tuple[float, float]]:
    """Windows of 4 / rate s: so many events as poisson(4) says, then their times, then their levels 10 u."""
    window_s, level, pieces, index = 4 / rate, 10 * generator(1, "profile initial", client).random(), [], 0
    while not pieces or pieces[-1][1] < until_s:
        rng = generator(1, "profile window", client, index)
        n = rng.poisson(4.0)
        times = sorted(index * window_s + rng.random() * window_s for _ in range(n))
        for time, drawn in zip(times, [10 * rng.random() for _ in range(n)], strict=True):
            pieces.append((level, time))
            level = drawn
        index += 1
        pieces.append((level, index * window_s))
    first = next(i for i, (_, end_s) in enumerate(pieces) if end_s >= until_s)
    return pieces[: first + 1]


def test_poisson_is_the_plain_loop() -> None:
    """Three clients, 400 s at rates of 0.7 and 0.2 a second; many at once from an earlier time, too."""
    rates = np.where(IDS == 8, 0.2, 0.7)
    many = Poisson(rates, ClientRngs(1, "profile", IDS), lambda drawn: 10 * drawn)
    rows, t_s, seen = np.arange(4), np.zeros(4), [[] for _ in IDS]
    expected = [poisson_by_hand(c, rate, 400.0) for c, rate in zip(IDS.tolist(), rates.tolist(), strict=True)]
    while len(rows):
        levels, ends = many.piece(t_s[rows], rows)
        for row, level, end_s in zip(rows.tolist(), levels.tolist(), ends.tolist(), strict=True):
            seen[row].append((level, end_s))
        t_s[rows] = ends
        rows = rows[ends < 400.0]
    assert seen == expected
    one = [
        walk(Poisson(rate, ClientRngs(1, "profile", c), lambda drawn: 10 * drawn), 400.0)
        for c, rate in zip(IDS.tolist(), rates.tolist(), strict=True)
    ]
    assert one == expected
    levels, ends = many.piece(np.zeros(2), np.array([3, 1]))
    assert list(zip(levels.tolist(), ends.tolist(), strict=True)) == [expected[3][0], expected[1][0]]


def test_periodic_is_the_plain_loop() -> None:
    """Period k of 2.5 s has the level base x (1 + u), u the number of the key ("factor", k)."""
    base = np.array([1.0, 2.0, 1.0, 5.0])
    many = Periodic(2.5, ClientRngs(1, "profile", IDS), lambda drawn: 1 + drawn, base)
    for row, client in enumerate(IDS.tolist()):
        own = float(base[row])
        expected = [
            (own * (1 + generator(1, "profile factor", client, k).random()), 2.5 * (k + 1)) for k in range(40)
        ]
        one = Periodic(2.5, ClientRngs(1, "profile", client), lambda drawn: 1 + drawn, own)
        assert walk(one, 100.0) == expected
        levels, ends = many.piece(2.5 * np.arange(40), np.full(40, row))
        assert list(zip(levels.tolist(), ends.tolist(), strict=True)) == expected


def test_steady() -> None:
    """One level for all, or one for each client."""
    assert Steady(0.5).piece(3.0) == (0.5, math.inf)
    for level, expected in ((0.5, [0.5, 0.5]), (np.array([1.0, 2.0, 3.0]), [3.0, 1.0])):
        levels, ends = Steady(level).piece(np.zeros(2), np.array([2, 0]))
        assert levels.tolist() == expected
        assert ends.tolist() == [math.inf, math.inf]
