"""What a lookup in a front costs: microseconds, for tables of 16 and of 1000 entries.

    python benchmarks/lookup.py

A client looks an entry up before every mini-batch. Budgets are drawn from below the cheapest entry to beyond
the most expensive; the median of several repeats is printed, with the smallest and the largest.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front

SIZES = (16, 1000)
LOOKUPS = 100_000
REPEATS = 7


def front(n: int) -> Front:
    """Entries of 1000, 2000, ... MACs."""
    entries = (Entry((1 - k / n,), (k,), 1000 * k, k / n) for k in range(1, n + 1))
    return Front(tuple(entries), "benchmark", ("group",), {})


def lookup_wall_us(n: int) -> list[float]:
    """Microseconds of one lookup among n entries, in each repeat."""
    table = front(n)
    budgets = np.random.default_rng(1).uniform(0, 1100 * n, LOOKUPS).tolist()
    taken = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        for budget in budgets:
            table.lookup(budget)
        taken.append(1e6 * (time.perf_counter() - start) / LOOKUPS)
    return sorted(taken[1:])  # the first one is for the caches


def main() -> None:
    print(f"{'entries':>8} {'median us':>10} {'min':>7} {'max':>7}")
    for n in SIZES:
        wall_us = lookup_wall_us(n)
        print(f"{n:>8} {median(wall_us):>10.3f} {wall_us[0]:>7.3f} {wall_us[-1]:>7.3f}")


if __name__ == "__main__":
    main()
