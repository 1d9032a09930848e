"""Integration of a piecewise constant capacity: by hand, and against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pieces import Pieces

from distreal_sim.devices.capacity import Capacity


def capacity(
    *levels: float, ends: tuple[float, ...] = (), scale: float = 1.0, start_s: float = 0.0
) -> Capacity:
    return Capacity(Pieces(levels, ends), scale, start_s)


def exact_work(pieces: Pieces, from_s: float, to_s: float) -> Fraction:
    """The integral of the levels, without rounding."""
    total, bounds = Fraction(0), (0.0, *pieces.ends, math.inf)
    for level, start, end in zip(pieces.levels, bounds, bounds[1:], strict=False):
        low, high = max(start, from_s), min(end, to_s)
        if high > low:
            total += Fraction(level) * (Fraction(high) - Fraction(low))
    return total


def test_a_step_across_a_halving() -> None:
    """100 MAC/s for 3 s, then 50. 400 MACs from t = 0: 300 by t = 3, the other 100 take 2 s: done at 5.
    From t = 2, 100 MACs are done at 3, and 150 take 1 + 50/50 = 2 s: done at 4.
    """
    c = capacity(2.0, 1.0, ends=(3.0,), scale=50.0)
    assert c(0.0) == 100.0
    assert c(2.999) == 100.0
    assert c(3.0) == 50.0
    assert c.finish(0.0, 400) == 5.0
    assert c.finish(2.0, 100) == 3.0
    assert c.finish(2.0, 150) == 4.0
    assert c.offered(0.0, 5.0) == 400.0
    assert c.offered(2.0, 2.5) == 50.0
    assert list(c.pieces(1.0)) == [(1.0, 3.0, 100.0), (3.0, math.inf, 50.0)]


def test_time_is_relative_to_the_round() -> None:
    """The capacity falls at absolute time 1003: in a round that began at 1000, that is 3 s into it."""
    c = capacity(2.0, 1.0, ends=(1003.0,), scale=50.0, start_s=1000.0)
    assert c(2.5) == 100.0
    assert c(3.0) == 50.0
    assert c.finish(0.0, 400) == 5.0


def test_a_pause() -> None:
    """10 MAC/s, nothing in [1, 4), 10 again. 15 MACs: 10 by t = 1, 5 more from t = 4: done at 4.5.
    10 MACs are done at 1, before the pause; a step that starts in the pause waits for its end.
    """
    c = capacity(10.0, 0.0, 10.0, ends=(1.0, 4.0))
    assert c.finish(0.0, 15) == 4.5
    assert c.finish(0.0, 10) == 1.0
    assert c.finish(2.0, 5) == 4.5
    assert c.offered(0.0, 10.0) == 10.0 + 60.0
    assert c.offered(1.0, 4.0) == 0.0


def test_a_rounding_error_does_not_wait_for_the_end_of_a_pause() -> None:
    """3 MAC/s for 0.7 s and 0.7 for 0.3 s are 2.31 MACs, of which floats leave 4e-16 at t = 1; from there the
    capacity is 0 until 100. What is really more than that waits.
    """
    c = capacity(3.0, 0.7, 0.0, 1.0, ends=(0.7, 1.0, 100.0))
    assert 2.31 - 3.0 * 0.7 - 0.7 * (1.0 - 0.7) > 0
    assert c.finish(0.0, 2.31) == pytest.approx(1.0, abs=1e-12)
    assert c.finish(0.0, 2.31 + 1e-9) > 100


def test_until() -> None:
    """1 MAC/s: 5 MACs are done at 5, which is in time for 5 and too late for 4.9."""
    c = capacity(1.0)
    assert c.finish(0.0, 5, until_s=5.0) == 5.0
    assert c.finish(0.0, 5, until_s=4.9) == math.inf


def test_zero_and_infinite_capacity() -> None:
    """Nothing is ever done at 0; at inf everything at once; inf from t = 2 on ends what 1 MAC/s began."""
    assert capacity(0.0).finish(0.0, 1) == math.inf
    assert capacity(0.0).offered(0.0, 9.0) == 0.0
    assert capacity(math.inf).finish(3.0, 10**18) == 3.0
    assert capacity(math.inf).offered(0.0, 1.0) == math.inf
    assert capacity(1.0, math.inf, ends=(2.0,)).finish(0.0, 10**18) == 2.0
    assert capacity(0.0, 1.0, scale=math.inf, ends=(2.0,)).finish(0.0, 5) == 2.0


levels = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
bounds = st.lists(st.floats(1e-3, 1e3), max_size=8, unique=True).map(lambda b: tuple(sorted(b)))


@given(st.data(), bounds, st.floats(0, 1100), st.floats(1e-3, 1e5))
def test_work_until_the_finish_is_the_step(
    data: st.DataObject, ends: tuple[float, ...], t: float, macs: float
) -> None:
    """The exact integral of the capacity from the start of a step to its finish is the step's cost (1e-9),
    and the finish is the earliest such time: the client was computing just before it.
    """
    n = len(ends) + 1
    pieces = Pieces(tuple(data.draw(st.lists(levels, min_size=n, max_size=n))), ends)
    finish = Capacity(pieces, 1.0, 0.0).finish(t, macs)
    if finish == math.inf:
        horizon = 1e12
        assert pieces.levels[-1] == 0
        assert exact_work(pieces, t, horizon) < macs
        return
    assert float(exact_work(pieces, t, finish)) == pytest.approx(macs, rel=1e-9, abs=1e-3 * finish * 1e-9)
    assert finish > t or macs < 1e-9 * 1e3 * t
    assume(finish - t > 1e-9 * finish)
    assert exact_work(pieces, finish - 1e-9 * finish, finish) > 0


@given(st.data(), bounds, st.floats(0, 1100), st.floats(0, 1100))
def test_offered_is_the_exact_integral(
    data: st.DataObject, ends: tuple[float, ...], a: float, b: float
) -> None:
    n = len(ends) + 1
    pieces = Pieces(tuple(data.draw(st.lists(levels, min_size=n, max_size=n))), ends)
    low, high = min(a, b), max(a, b)
    offered = Capacity(pieces, 1.0, 0.0).offered(low, high)
    assert offered == pytest.approx(float(exact_work(pieces, low, high)), rel=1e-9, abs=1e-9)
