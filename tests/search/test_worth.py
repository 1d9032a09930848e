"""Where thinning pays, on curves drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from distreal_sim.search.worth import fewer_steps, ranges, stretched, worth_of

FRONT = [0.1, 0.5, 1.0]
"""Costs of three entries."""


def test_fewer_steps_by_hand() -> None:
    """From (0, 0) straight to (0.25, 2), level to 0.5, where more steps did harm, straight to (1, 4)."""
    costs = np.array([0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0])
    heights = fewer_steps([0.25, 0.5, 1.0], [2.0, 1.5, 4.0], costs)
    assert heights.tolist() == [0.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0]
    assert fewer_steps([0.5, 1.0], [-1.0, 3.0], np.array([0.25, 0.5, 0.75])).tolist() == [0.0, 0.0, 1.5]


def test_stretched_by_hand() -> None:
    """Four repeats: sqrt(4 / 3) x 3.18245 / 1.95996, t and normal quantile from tables. Two repeats of three
    snapshots, six values and three free: sqrt(2) x the same. The measured row stays.
    """
    rows = np.array([[2.0, 5.0], [3.0, 4.0]])
    assert stretched(rows, 4)[0].tolist() == [2.0, 5.0]
    assert stretched(rows, 4)[1] == pytest.approx([2 + 1.87493, 5 - 1.87493], abs=1e-4)
    assert stretched(rows, 2, 3)[1] == pytest.approx([2 + 2.29632, 5 - 2.29632], abs=1e-4)


@pytest.mark.parametrize("n_repeats", [2, 4, 8])
def test_stretched_intervals_hold(n_repeats: int) -> None:
    """Normal noise about 0 in three snapshots: 0 lies within the percentiles of resampled means in 95 of 100
    draws once they are stretched; without, with two repeats, in fewer than 80.
    """
    rng, n_draws, n_resamples, n_snapshots = np.random.default_rng(1), 1000, 400, 3
    values = rng.normal(size=(n_draws, 1, n_snapshots, n_repeats))
    picks = rng.integers(n_repeats, size=(n_draws, n_resamples, n_snapshots, n_repeats))
    rows = np.concatenate([values, np.take_along_axis(values, picks, axis=3)], axis=1).mean(axis=(2, 3)).T

    def held(resampled: np.ndarray) -> float:
        low, high = np.percentile(resampled[1:], [2.5, 97.5], axis=0)
        return float(np.mean((low <= 0) & (high >= 0)))

    assert 0.92 < held(stretched(rows, n_repeats, n_snapshots)) < 0.98
    assert n_repeats > 2 or held(rows) < 0.8


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_pays_from_to_by_hand(scale: float) -> None:
    """Fewer steps: the diagonal. The front is 0.3 from 0.1 to 0.5, then rises straight to 1.

    Their difference: 0.2 at 0.1, 0 at 0.3, -0.2 at 0.5, -0.4 + 0.4 x from there on, 0 at 1. Whatever the full
    network's progress is.
    """
    scores = scale * np.array([[0.3, 0.3, 1.0]] * 3)
    worth = worth_of(FRONT, scores, [0.5, 1.0], scale * np.array([[0.5, 1.0]] * 3))
    assert worth is not None
    assert worth.pays == worth.pays_in_the_mean == ((0.1, 0.299),)
    assert worth.loses == ((0.301, 0.999),)
    assert (worth.best.relative_macs, worth.worst.relative_macs) == (0.1, 0.5)
    assert worth.best.value == pytest.approx(0.2, abs=1e-12)
    assert worth.worst.value == pytest.approx(-0.2, abs=1e-12)
    assert worth.worst.interval == pytest.approx((-0.2, -0.2), abs=1e-12)


def test_never() -> None:
    """Progress in steps is concave, 0.8 at a quarter; the front is the diagonal."""
    steps = np.array([[0.8, 1.0]] * 2)
    worth = worth_of(FRONT, np.array([[0.1, 0.5, 1.0]] * 2), [0.25, 1.0], steps)
    assert worth is not None
    assert (worth.pays, worth.pays_in_the_mean, worth.loses) == ((), (), ((0.1, 0.999),))
    assert (worth.worst.relative_macs, worth.worst.value) == pytest.approx((0.25, -0.55))


def test_the_worst_is_where_it_surely_loses() -> None:
    """Fewer steps: the diagonal. The front is 0.3 below it at 0.2, give or take 0.4, and surely 0.1 at 0.6.
    The upper bound falls from 0.1 to -0.1 and is 0 at 0.4; from there on the worst is the first, near -0.2.
    """
    found = np.array([[-0.1, 0.5, 1.0], *[[-0.5, 0.5, 1.0], [0.3, 0.5, 1.0]] * 50])
    worth = worth_of([0.2, 0.6, 1.0], found, [1.0], np.ones((101, 1)))
    assert worth is not None
    assert worth.loses == ((0.401, 0.999),)
    assert worth.worst.relative_macs == 0.401
    assert worth.worst.value == pytest.approx(-0.3 + 0.2 * 0.201 / 0.4, abs=1e-12)
    assert worth.worst.interval[1] < 0


def test_only_the_zero_vector() -> None:
    """The front is all full steps, so there is nothing to compare below them."""
    worth = worth_of([1.0], np.ones((2, 1)), [0.5, 1.0], np.array([[0.5, 1.0]] * 2))
    assert worth is not None
    assert (worth.pays, worth.loses, worth.best.value) == ((), (), 0.0)


def test_entries_of_fewer_full_steps() -> None:
    """0.1: thinned, 0.5 of progress; 0.25 and 0.5: as many steps of the full network. Fewer full steps have
    0.4, 0.8 and 1 after 0.25, 0.5 and all, in a row of more noise 0.4, 0.3 and 1, which is level to 0.5. From
    0.1 to 0.25 a straight line falls to 0.4, which is above 1.6 x; from 0.25 on there is no difference,
    although lines between entries, from 0.4 to 0.8 and on to 1, or without the entry at 0.5, are elsewhere.
    """
    steps = np.array([[0.4, 0.8, 1.0], [0.4, 0.3, 1.0]])
    for kept in ([0, 1, 2, 3], [0, 1, 3]):
        found = np.array([[0.5, 0.4, 0.8, 1.0], [0.5, 0.4, 0.3, 1.0]])[:, kept]
        costs = np.array([0.1, 0.25, 0.5, 1.0])[kept].tolist()
        worth = worth_of(costs, found, [0.25, 0.5, 1.0], steps, [False, *[True] * (len(kept) - 1)])
        assert worth is not None
        assert worth.pays == worth.pays_in_the_mean == ((0.1, 0.249),)
        assert (worth.loses, worth.worst.value, worth.best.value) == ((), 0.0, pytest.approx(0.34))


def test_the_full_network_before_a_thinned_entry() -> None:
    """A quarter of the full steps has 0.4 of progress, half of them 0.8, and a thinned entry at 0.6 has 0.9.
    A straight line from 0.4 to it would lie below 0.8 at 0.5 and above 0.84 at 0.6, but clients take full
    steps till then: thinning pays from 0.6 on, where fewer full steps rise straight from 0.84 to 1.
    """
    found, steps = np.array([[0.4, 0.9, 1.0]] * 2), np.array([[0.4, 0.8, 1.0]] * 2)
    worth = worth_of([0.25, 0.6, 1.0], found, [0.25, 0.5, 1.0], steps, [True, False, True])
    assert worth is not None
    assert (worth.pays, worth.loses) == (((0.6, 0.999),), ())
    assert (worth.best.relative_macs, worth.best.value) == (0.6, pytest.approx(0.06))


def test_what_the_interval_leaves_open_is_not_said() -> None:
    """The cheapest entry beats the diagonal by 0.2 in the mean; in the resampled rows by 0.6 and by -0.1: of
    two values the 2.5 % point is -0.1 + 0.025 * 0.7 = -0.0825.
    """
    found = np.array([[0.3, 0.5, 1.0], [0.7, 0.5, 1.0], [0.0, 0.5, 1.0]])
    worth = worth_of(FRONT, found, [1.0], np.ones((3, 1)))
    assert worth is not None
    assert (worth.pays, worth.loses) == ((), ())
    assert worth.pays_in_the_mean == ((0.1, 0.499),)
    assert worth.best.interval == pytest.approx((-0.1 + 0.025 * 0.7, 0.6 - 0.025 * 0.7))


def test_no_progress_is_no_measure() -> None:
    """Of the full network; resampled rows without progress are left out."""
    found = np.array([[0.3, 0.5, 1.0]] * 3)
    assert worth_of(FRONT, found, [1.0], np.array([[0.0], [1.0], [1.0]])) is None
    worth = worth_of(FRONT, found, [1.0], np.array([[1.0], [-1.0], [1.0]]))
    assert worth is not None
    assert worth.best.interval == pytest.approx((0.2, 0.2))


def test_near_ranges_are_one() -> None:
    """Gaps of 0.04 and of 0.06."""
    costs = np.array([0.1, 0.12, 0.14, 0.16, 0.2, 0.22, 0.28, 0.3])
    inside = np.array([True, True, False, True, True, True, True, False])
    assert ranges(costs, inside) == ((0.1, 0.22), (0.28, 0.28))
    assert ranges(costs, np.zeros(8, bool)) == ()
