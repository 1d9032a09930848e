"""The draw of a round's clients."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.server.selection._walk import draw


class Counting:
    """A generator that counts its draws."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n_draws = 0

    def integers(self, low: np.ndarray, high: int) -> np.ndarray:
        self.n_draws += len(low)
        return self.rng.integers(low, high)


def everyone(client_ids: np.ndarray) -> np.ndarray:
    return np.ones(len(client_ids), bool)


def one_by_one(n: int, k: int, rng: np.random.Generator, away: set[int]) -> list[int]:
    """A Fisher-Yates shuffle of all ids, walked in plain loops."""
    ids, chosen = list(range(n)), []
    for position in range(n):
        other = int(rng.integers(position, n))
        ids[position], ids[other] = ids[other], ids[position]
        if ids[position] not in away and len(chosen) < k:
            chosen.append(ids[position])
    return sorted(chosen)


@pytest.mark.parametrize(("n", "k"), [(6, 3), (5, 1), (5, 4), (4, 4)])
def test_every_subset_is_as_likely(n: int, k: int) -> None:
    """20,000 draws over the S = C(n, k) subsets: the chi-square statistic has mean S - 1 and standard
    deviation sqrt(2 (S - 1)); 6 of them is a chance of less than 1e-4, for this one fixed seed.
    """
    rng = np.random.default_rng(3)
    seen = Counter(tuple(draw(n, k, rng, everyone)) for _ in range(20_000))
    subsets = list(combinations(range(n), k))
    assert set(seen) <= set(subsets)
    expected = 20_000 / len(subsets)
    chi2 = sum((seen[s] - expected) ** 2 / expected for s in subsets)
    assert chi2 <= len(subsets) - 1 + 6 * np.sqrt(2 * len(subsets))


def test_uniform_over_the_available_ones() -> None:
    """With clients 1 and 4 of 6 away, all C(4, 2) = 6 pairs of the others are as likely."""
    rng = np.random.default_rng(4)
    seen = Counter(tuple(draw(6, 2, rng, lambda c: ~np.isin(c, (1, 4)))) for _ in range(12_000))
    assert set(seen) == set(combinations((0, 2, 3, 5), 2))
    chi2 = sum((n - 2000) ** 2 / 2000 for n in seen.values())
    assert chi2 <= 5 + 6 * np.sqrt(10)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32), st.floats(0, 1))
def test_sorted_distinct_available_and_as_many_as_there_are(n: int, k: int, seed: int, share: float) -> None:
    away = set(np.flatnonzero(np.random.default_rng(seed + 1).random(n) > share).tolist())
    asked: list[int] = []

    def available(client_ids: np.ndarray) -> np.ndarray:
        asked.extend(client_ids.tolist())
        return np.array([client_id not in away for client_id in client_ids])

    cohort = draw(n, k, np.random.default_rng(seed), available)
    assert cohort == sorted(set(cohort))
    assert len(cohort) == min(k, n - len(away))
    assert not away & set(cohort)
    assert all(0 <= c < n for c in cohort)
    assert len(asked) == len(set(asked))  # nobody is asked twice
    assert cohort == one_by_one(n, k, np.random.default_rng(seed), away)


def test_cost_does_not_grow_with_the_fleet() -> None:
    """One draw for every client walked past: 10 of a billion, about twice as many when half are away."""
    rng = Counting(1)
    assert len(draw(10**9, 10, rng, everyone)) == 10
    assert rng.n_draws == 10
    rng = Counting(1)
    assert len(draw(10**9, 1000, rng, lambda c: c % 2 == 0)) == 1000
    assert 1750 < rng.n_draws < 2250  # 2000, standard deviation sqrt(2000) = 45


def test_a_larger_cohort_holds_the_smaller_one() -> None:
    """The walk is the same: only where it stops differs."""
    small, large = (draw(100, k, np.random.default_rng(2), everyone) for k in (5, 9))
    assert set(small) < set(large)
