"""Which dropout vectors are the same, which are allowed, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .toy_search import toy_space


def test_costs_by_hand() -> None:
    """16 positions; the first layer costs its MACs twice (its input needs no gradient), others three times.

    Keeping a of 4 and b of 10: 2 * 16 a + 3 * 16 a b + 3 * 2 b. Full: 128 + 1920 + 60 = 2108; a = 2, b = 1:
    64 + 96 + 6 = 166.
    """
    space = toy_space(4, 10)
    assert space.counts(np.array([0.5, 0.9])) == (2, 1)
    assert space.relative_macs((2, 1)) == pytest.approx(166 / 2108, abs=1e-15)
    assert space.relative_macs((4, 10)) == 1.0


@given(st.lists(st.floats(0, 0.9), min_size=3, max_size=3))
def test_a_vector_stands_for_its_candidate(rates: list[float]) -> None:
    """Snapping keeps the counts, and vectors of equal counts become one; rates stay within [0, d_max]."""
    space = toy_space(4, 14, 33)
    snapped = space.snap(np.array([rates]))[0]
    assert space.counts(snapped) == space.counts(np.array(rates))
    assert (snapped == space.rates(space.counts(np.array(rates)))).all()
    assert (space.snap(snapped[None]) == snapped).all()
    assert (snapped >= 0).all()
    assert (snapped <= 0.9).all()


def test_uniform_vectors() -> None:
    """Rates 0, 0.3, 0.6, 0.9 of 10 and 10 channels; asked for more than there are, each is there once."""
    assert toy_space(10, 10).uniform(4) == [(10, 10), (7, 7), (4, 4), (1, 1)]
    assert toy_space(10, 10).uniform(500) == [(n, n) for n in range(10, 0, -1)]
    assert toy_space(10, 10).uniform(1) == [(10, 10)]


def test_the_smallest_allowed() -> None:
    """With a = b = n of 10 and 10: 32 n + 48 n^2 + 6 n, full 5180; n = 5: 1390, 26.8 %; n = 4: 17.8 %."""
    space = toy_space(10, 10, smallest=0.25)
    assert space.uniform(500) == [(n, n) for n in range(10, 4, -1)]
    assert space.allows((5, 5))
    assert not space.allows((4, 4))
