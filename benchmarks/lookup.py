"""What the choice before a step costs: microseconds, for fronts over vectors and over vectors and steps.

    python benchmarks/lookup.py

A client chooses before every mini-batch. Budgets are drawn from below the cheapest entry to beyond the most
expensive; the median of several repeats is printed, with the smallest and the largest. In a front over
vectors and steps every other entry is for half of the steps.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from distreal_sim.client.schedule import Moment
from distreal_sim.client.traffic import Traffic
from distreal_sim.submodels.levels import Level, PerStep

SIZES = {"vectors": (16, 1000), "vectors and steps": (16, 32)}
"""Entries. A search writes 16 by default; of vectors and steps it may be twice as many."""
CHOICES = 20_000
REPEATS = 7
SIZES_LEFT = [8] * 10
"""Mini-batches that are left."""


def levels(n: int, over: str) -> PerStep:
    """n entries of 1000, 2000, ... MACs per planned example, each preferred to the one before."""
    every = 2 if over == "vectors and steps" else 1
    costs = ((1000 * k, 1.0 if k % every == 0 else 0.5) for k in range(1, n + 1))
    nothing = Traffic(0, 0)
    return PerStep(tuple(Level((k,), int(c / s), nothing, share=s, rank=k) for k, (c, s) in enumerate(costs)))


def choice_wall_us(n: int, over: str) -> list[float]:
    """Microseconds of one choice among n entries, in each repeat."""
    table = levels(n, over)
    rates = np.random.default_rng(1).uniform(0, 1100 * n, CHOICES) * sum(SIZES_LEFT)
    moments = [Moment(0.0, 1.0, rate, SIZES_LEFT, 5, 40) for rate in rates.tolist()]
    start_level = table.levels[0]
    taken = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        for moment in moments:
            table.now(moment, start_level)
        taken.append(1e6 * (time.perf_counter() - start) / CHOICES)
    return sorted(taken[1:])  # the first one is for the caches


def main() -> None:
    print(f"{'front over':<18} {'entries':>7} {'median us':>10} {'min':>7} {'max':>7}")
    for over, sizes in SIZES.items():
        for n in sizes:
            wall_us = choice_wall_us(n, over)
            print(f"{over:<18} {n:>7} {median(wall_us):>10.3f} {wall_us[0]:>7.3f} {wall_us[-1]:>7.3f}")


if __name__ == "__main__":
    main()
