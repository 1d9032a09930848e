"""One client's way through a trace is the same number for number as many clients' at once."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from distreal_sim.devices.traces.series import Played, Series


@settings(deadline=None)
@given(
    steps_s=st.lists(st.sampled_from([0.1, 1.0, 2.5, 300.0]), max_size=8),
    rest_s=st.sampled_from([0.1, 7.0, math.inf]),
    share=st.floats(0, 0.999),
    times_s=st.lists(st.floats(0, 5000), min_size=1, max_size=8),
)
def test_one_client_as_many(steps_s: list[float], rest_s: float, share: float, times_s: list[float]) -> None:
    """At the times given, at every end that follows, where the next piece begins, and just before it."""
    rows_s = np.concatenate([[0.0], np.cumsum(steps_s)])
    series = Series(
        names=("a",),
        first=np.array([0, len(rows_s)]),
        times_s=rows_s,
        levels=np.arange(len(rows_s)) / 8,
        period_s=np.array([rows_s[-1] + rest_s]),
    )
    one, many = Played.of(series, 0, share), Played.of(series, np.array([0]), share)
    for t_s in times_s:
        for _ in range(3):
            level, end_s = one.piece(t_s)
            levels, ends_s = many.piece(np.array([t_s]), np.array([0]))
            assert (level, end_s) == (levels[0], ends_s[0])
            assert end_s > t_s
            if math.isinf(end_s):
                break
            assert one.piece(math.nextafter(end_s, 0))[0] == level
            t_s = end_s
