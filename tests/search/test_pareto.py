"""Dominance and hypervolume."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from distreal_sim.search.pareto import Point, best_subset, hypervolume, non_dominated


def test_hypervolume_by_hand() -> None:
    """Scores relative to 2: from 0.25 to 0.5 the height is 0.5, from 0.5 to 1 it is 0.75, to 1.05 it is 1:
    0.25 * 0.5 + 0.5 * 0.75 + 0.05 * 1 = 0.55. The dominated point (0.6, 1) and the worthless (0.1, -3) add
    nothing; a single zero vector has 0.05.
    """
    points = [(1.0, 2.0), (0.25, 1.0), (0.6, 1.0), (0.5, 1.5), (0.1, -3.0)]
    assert hypervolume(points, 2.0) == pytest.approx(0.55, abs=1e-12)
    assert hypervolume([(1.0, 7.0)], 7.0) == pytest.approx(0.05, abs=1e-12)
    assert hypervolume([], 2.0) == 0.0
    assert [points[i] for i in non_dominated(points)] == [(0.1, -3.0), (0.25, 1.0), (0.5, 1.5), (1.0, 2.0)]


def dominates(a: Point, b: Point) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@pytest.mark.parametrize("seed", range(20))
def test_against_the_definition(seed: int) -> None:
    """Random points on a coarse grid, so that ties occur, some of them beyond the reference point."""
    rng = np.random.default_rng(seed)
    points = [(float(a), float(b)) for a, b in rng.integers(-2, 12, (30, 2)) / 10]
    expected = {p for p in points if not any(dominates(q, p) for q in points)}
    chosen = [points[i] for i in non_dominated(points)]
    assert set(chosen) == expected
    assert len(chosen) == len(expected)
    assert chosen == sorted(chosen)
    # A point adds the rectangle to the next cheapest one's MACs at the best score so far.
    area = height = 0.0
    for (macs, score), edge in zip(chosen, [macs for macs, _ in chosen[1:]] + [1.05], strict=True):
        height = max(height, score / 0.7)
        area += max(0.0, min(edge, 1.05) - macs) * height
    assert hypervolume(points, 0.7) == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_subset_against_all_subsets(seed: int) -> None:
    """Of 9 points every choice of n that holds the first and the last; in half of the draws the last one is
    dominated.
    """
    rng = np.random.default_rng(seed)
    macs, scores = np.sort(rng.uniform(0, 1, 9)), np.sort(rng.uniform(-0.3, 1, 9))
    points = [*zip(macs.tolist(), scores.tolist(), strict=True)]
    if seed % 2:
        points[-1] = (points[-1][0], 0.1)
    for n in (2, 3, 5, 8):
        tried = [[0, *inner, 8] for inner in itertools.combinations(range(1, 8), n - 2)]
        best = max(hypervolume([points[i] for i in chosen], 1.0) for chosen in tried)
        chosen = best_subset(points, n)
        assert chosen in tried
        assert hypervolume([points[i] for i in chosen], 1.0) == pytest.approx(best, abs=1e-12)
    assert best_subset(points, 9) == best_subset(points, 20) == list(range(9))
