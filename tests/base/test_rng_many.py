"""Draws of many generators at once are numpy's own, to the last bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.base.rng import generator
from distreal_sim.base.rng_many import streams

EDGES = [0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


def one_by_one(seed: int, purpose: str, keys: list[tuple[int, ...]], n_draws: int) -> np.ndarray:
    """(n_draws, n) what numpy's generators give."""
    return np.array([generator(seed, purpose, *key).random(n_draws) for key in keys]).T


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 + 3, 2**128 - 1, 2**128, 2**200 + 1])
def test_keys_at_the_edges(seed: int) -> None:
    """Seeds of one word to seven (four fill SeedSequence's pool), two keys at the ends of their range."""
    keys = list(product(EDGES, EDGES))
    drawn = streams(seed, "level", *np.array(keys).T)
    assert np.array_equal([drawn.random() for _ in range(5)], one_by_one(seed, "level", keys, 5))


@given(
    seed=st.integers(0, 2**130),
    purpose=st.text(max_size=20),
    keys=st.integers(0, 4).flatmap(
        lambda n: st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * n), min_size=1, max_size=6)
    ),
)
def test_any_key(seed: int, purpose: str, keys: list[tuple[int, ...]]) -> None:
    keys = keys if keys[0] else keys[:1]
    drawn = streams(seed, purpose, *np.array(keys, np.int64).reshape(len(keys), -1).T)
    assert len(drawn) == len(keys)
    assert np.array_equal([drawn.random() for _ in range(3)], one_by_one(seed, purpose, keys, 3))


def test_one_part_of_the_key_for_all() -> None:
    keys = [(3, client_id, 9) for client_id in range(5)]
    assert np.array_equal([streams(1, "a", 3, np.arange(5), 9).random()], one_by_one(1, "a", keys, 1))


def test_picked_streams_go_on_by_themselves() -> None:
    expected = one_by_one(1, "a", [(0,), (1,), (2,)], 3)
    drawn = streams(1, "a", np.arange(3))
    assert np.array_equal(drawn.random(), expected[0])
    picked = drawn.pick(np.array([2, 0]))
    assert np.array_equal(picked.random(), expected[1, [2, 0]])
    assert np.array_equal(picked.random(), expected[2, [2, 0]])
    assert np.array_equal(drawn.random(), expected[1])


def test_nobody() -> None:
    assert len(streams(1, "a", np.zeros(0, np.int64)).random()) == 0


@pytest.mark.parametrize("key", [-1, 2**32])
def test_keys_out_of_range_are_refused(key: int) -> None:
    with pytest.raises(ValueError, match="below 2"):
        streams(1, "a", np.array([0, key]))
