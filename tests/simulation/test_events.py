"""The event clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.simulation.events import Clock


def order(clock: Clock[str]) -> list[tuple[float, str]]:
    """(time, event) of all events that are left."""
    seen = []
    while clock.next_s < math.inf:
        event = clock.advance()
        seen.append((clock.now_s, event))
    return seen


def test_events_come_by_time_then_priority_then_sequence() -> None:
    """At 2 s: b (priority 0) was scheduled before c (priority 0), and a has priority 1."""
    clock = Clock[str]()
    clock.schedule(2.0, "a", priority=1)
    clock.schedule(2.0, "b")
    clock.schedule(3.0, "d")
    clock.schedule(2.0, "c")
    clock.schedule(1.0, "e", priority=9)
    assert order(clock) == [(1.0, "e"), (2.0, "b"), (2.0, "c"), (2.0, "a"), (3.0, "d")]
    assert clock.now_s == 3.0


def test_an_event_may_schedule_another_at_the_same_time() -> None:
    clock = Clock[str](5.0)
    clock.schedule(6.0, "first")
    clock.schedule(6.0, "last")
    assert (clock.next_s, clock.advance()) == (6.0, "first")
    clock.schedule(6.0, "between", priority=-1)
    clock.schedule(6.0, "afterwards")
    assert order(clock) == [(6.0, "between"), (6.0, "last"), (6.0, "afterwards")]


def test_events_that_cannot_be_compared_are_never_compared() -> None:
    clock = Clock[complex]()
    for event in (1j, 2j):
        clock.schedule(1.0, event)
    assert [clock.advance(), clock.advance()] == [1j, 2j]


def test_time_never_runs_backwards() -> None:
    clock = Clock[str](4.0)
    clock.schedule(4.0, "now")
    for time_s in (3.999, math.nan, -math.inf):
        with pytest.raises(ValueError, match=r"must not be before 4\.0 s"):
            clock.schedule(time_s, "past")
    assert order(clock) == [(4.0, "now")]


def test_an_event_at_infinity_never_comes() -> None:
    clock = Clock[str]()
    clock.schedule(math.inf, "never")
    assert clock.next_s == math.inf
    with pytest.raises(IndexError):
        clock.advance()
    assert clock.now_s == 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.25]), st.integers(-2, 2))))
def test_the_order_is_that_of_a_stable_sort(keys: list[tuple[float, int]]) -> None:
    """An independent twin: Python's stable sort by (time, priority)."""
    clock = Clock[int]()
    for index, (time_s, priority) in enumerate(keys):
        clock.schedule(time_s, index, priority)
    seen = [clock.advance() for _ in keys]
    assert seen == sorted(range(len(keys)), key=lambda index: keys[index])
