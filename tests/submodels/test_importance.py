"""Choices of layers under a budget, by hand and by brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from distreal_sim.submodels.importance import (
    UNITS,
    LayerCost,
    as_shares,
    chosen_in_window,
    most_important,
    squared_moves,
)


def test_a_choice_by_hand() -> None:
    """Layers 1 and 2 cost 1 + 7 for their weights and 0 + 2 + 1 on the way to layer 2, 11 of 14; worth 13.

    Layer 3 would cost 3 and 7 on the way: with layer 2 that is 17, with layer 1 it is 11 and worth 8.
    """
    weights, backs, importance = [5, 1, 7, 3, 1], [0, 2, 1, 4, 0], [1, 3, 10, 5, 3]
    assert most_important(weights, backs, importance, 14) == [1, 2]
    assert most_important(weights, backs, importance, 0) == []
    assert most_important(weights, backs, importance, -1) == []
    assert most_important(weights, backs, importance, 24) == [0, 1, 2, 3, 4]


def best_by_force(weights: list[int], backs: list[int], importance: list[int], limit: int) -> int:
    n = len(weights)
    values = [
        sum(importance[k] for k in chosen)
        for size in range(1, n + 1)
        for chosen in combinations(range(n), size)
        if sum(weights[k] for k in chosen) + sum(backs[: chosen[-1] + 1]) <= limit
    ]
    return max(values, default=0)


def test_no_other_choice_is_worth_more() -> None:
    """300 random cases of up to 7 layers, all of their subsets tried."""
    rng = np.random.default_rng(8)
    for _ in range(300):
        n = int(rng.integers(1, 8))
        weights, backs, importance = (rng.integers(0, 12, n).tolist() for _ in range(3))
        limit = int(rng.integers(0, 40))
        chosen = most_important(weights, backs, importance, limit)
        cost = sum(weights[k] for k in chosen) + (sum(backs[: chosen[-1] + 1]) if chosen else 0)
        assert cost <= limit
        assert sum(importance[k] for k in chosen) == best_by_force(weights, backs, importance, limit)


def test_large_budgets_are_never_exceeded() -> None:
    """Costs are rounded up to a thousandth: three layers of 0.5005 of it do not fit twice."""
    limit = 2.0 * UNITS * 1000
    assert most_important([limit * 0.5005] * 3, [0, 0, 0], [1, 1, 1], limit) == [0]
    assert most_important([limit / 2] * 3, [0, 0, 0], [1, 1, 2], limit) == [0, 2]


@pytest.mark.parametrize(("room", "trained"), [(0, []), (1, [3]), (2, [2]), (3, [2, 3]), (7, [0, 1, 2, 3])])
def test_layers_of_a_chain(room: int, trained: list[int]) -> None:
    """Four layers of 1 MAC after each other, the innermost worth most: one alone costs 1 and the way to it, 0
    to 3; the last two cost 3, the last three 5. So with the forward pass of all paid, 1 MAC trains the last
    one only, as on a weak device without exits.
    """
    layers = [LayerCost(f"w{k}", (f"w{k}",), 1, 1) for k in range(4)]
    assert chosen_in_window(layers, 0, [1.3, 1.2, 1.1, 1.0], room) == trained


def test_the_way_through_the_classifier_is_paid() -> None:
    layers = [LayerCost("w", ("w",), 1, 1)]
    assert chosen_in_window(layers, 2, [1.0], 2) == []
    assert chosen_in_window(layers, 2, [1.0], 3) == [0]


def test_shares() -> None:
    """2 and 6 measured of 4 and 4 MACs, a MAC is worth 1: the third, of 2 MACs, counts 2 of 10."""
    macs = np.array([4.0, 4.0, 2.0])
    np.testing.assert_allclose(as_shares(np.array([2, 6, math.nan]), macs), [0.2, 0.6, 0.2])
    np.testing.assert_allclose(as_shares(np.full(3, math.nan), macs), [0.4, 0.4, 0.2])
    np.testing.assert_allclose(as_shares(np.zeros(3), macs), [0.4, 0.4, 0.2])


def test_moves() -> None:
    """(3, 4) moved to (0, 0), 1 to 3; the bias of the second layer is lacking."""
    layers = [LayerCost("a", ("a",), 1, 1), LayerCost("b", ("b", "c"), 1, 1), LayerCost("d", ("d",), 1, 1)]
    before = {"a": np.array([3.0, 4.0]), "b": np.ones(2), "c": np.ones(1), "d": np.ones(1)}
    after = {"a": np.zeros(2), "b": np.ones(2), "d": np.full(1, 3.0)}
    np.testing.assert_array_equal(squared_moves(layers, before, after), [25, math.nan, 4])
