"""Sums and quotients of parameters, block by block, against whole-array numpy."""

from __future__ import annotations

import numpy as np
import pytest

from distreal_sim.merging.arithmetic import BLOCK, add_scaled, divide
from distreal_sim.merging.average import spread
from distreal_sim.thinning.structure import FIXED, Segment, TensorLayout

SHAPES = [(), (0, 3), (5,), (3, BLOCK // 2 + 1), (BLOCK + 7, 2)]
"""No axis, nothing, less than a block, a row longer than half a block, and blocks that do not divide."""


@pytest.mark.parametrize("shape", SHAPES)
def test_add_scaled_by_a_number(shape: tuple[int, ...]) -> None:
    """float32 x a small integer is exact in float64, so the order of casting and multiplying is no matter."""
    rng = np.random.default_rng(1)
    total, array = rng.normal(size=shape), rng.normal(size=shape).astype(np.float32)
    expected = total + 37.0 * array.astype(np.float64)
    total = np.ascontiguousarray(total)
    add_scaled(total, array, 37.0)
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("shape", [(3, BLOCK // 2 + 1, 2), (700, 30, 9)])
def test_a_factor_for_each_channel_pair(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    total, array = rng.normal(size=shape), rng.normal(size=shape).astype(np.float32)
    factor = rng.integers(0, 3, (*shape[:2], 1)).astype(float)
    expected = total + factor * array
    add_scaled(total, array, factor)
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_divide_by_a_number(shape: tuple[int, ...]) -> None:
    """The quotient is rounded once, to float32; a weight of 0 gives the other array."""
    total = np.array(np.random.default_rng(3).normal(size=shape))
    old = np.ones(shape, np.float32)
    result = divide(total, 3.0, old)
    assert (result.dtype, result.shape) == (np.float32, shape)
    np.testing.assert_array_equal(result, (total / 3.0).astype(np.float32))
    assert divide(total, 0.0, old) is old


def test_divide_keeps_what_has_no_weight() -> None:
    """6 / 2 = 3 and 9 / 3 = 3; the pairs of weight 0 keep 7, whatever the total says."""
    total = np.array([[[6.0, 6.0], [np.nan, 5.0]], [[0.0, 0.0], [9.0, 9.0]]])
    weight = np.array([[[2.0], [0.0]], [[0.0], [3.0]]])
    result = divide(total, weight, np.full((2, 2, 2), 7, np.float32))
    np.testing.assert_array_equal(result, [[[3, 3], [7, 7]], [[7, 7], [3, 3]]])


def test_values_that_are_one_for_all_of_the_first_axis() -> None:
    """(2, 3) scaled by 1, 0 and 2 a column, and divided by the same: columns of 0 keep the other array."""
    total, array, factor = (
        np.zeros((2, 3)),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([[1.0, 0, 2]]),
    )
    add_scaled(total, array, factor)
    np.testing.assert_array_equal(total, [[0, 0, 4], [3, 0, 10]])
    result = divide(total, factor, np.full((2, 3), 7, np.float32))
    np.testing.assert_array_equal(result, [[0, 7, 2], [3, 7, 5]])


def test_spread_over_positions_that_channels_own() -> None:
    """A linear layer behind a flatten: 2 outputs, 3 channels of 4 positions, so 4 weights for each pair."""
    layout = TensorLayout((2, 12), ((Segment(0, 2),), (Segment(1, 3, 4),)))
    per_pair = np.arange(6.0).reshape(2, 3)
    shape, values = spread(layout, per_pair)
    assert shape == (2, 3, 4)
    whole = np.broadcast_to(values, shape).reshape(2, 12)
    np.testing.assert_array_equal(whole, np.repeat(per_pair, 4, axis=1))


def test_spread_over_unequal_stretches() -> None:
    """Two channels of 3 positions, then two fixed positions: 3 + 3 + 1 + 1 = 8 inputs."""
    layout = TensorLayout((1, 8, 5), ((Segment(0, 1),), (Segment(1, 2, 3), Segment(FIXED, 2))))
    shape, values = spread(layout, np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1))
    assert shape == (1, 8, 5)
    np.testing.assert_array_equal(values, np.array([1, 1, 1, 2, 2, 2, 3, 4.0]).reshape(1, 8, 1))
