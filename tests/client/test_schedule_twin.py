"""Whole rounds against an independent simulation in exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from choices import from_front
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pieces import Pieces

from distreal_sim.client.schedule import NeverDoneError, schedule
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front


class TooCloseError(Exception):
    """A comparison that floating point cannot be asked to decide alike."""


def less(a: Fraction, b: Fraction) -> bool:
    if a != b and abs(a - b) < Fraction(1, 10**6) * max(abs(a), abs(b)):
        raise TooCloseError
    return a < b


def exact_round(
    pieces: Pieces,
    entries: list[tuple[int, int]],
    sizes: list[int],
    start: int,
    end: int,
    overrun: str,
) -> tuple[list[tuple[int, Fraction]], str, Fraction | None]:
    """([(MACs per example, end time) of the finished steps], status, charged MACs or None for "never done").

    entries: (MACs per example, eighths of the planned examples that the entry is for).
    Walks the timeline piece by piece for every step; a finished step may end at the round's end, not after.
    """
    ends: list[Fraction | None] = [Fraction(e) for e in pieces.ends] + [None]
    t, total, steps = Fraction(start), Fraction(0), []
    for number, size in enumerate(sizes):
        if t >= end and overrun != "wait":
            break
        level = next(v for v, e in zip(pieces.levels, ends, strict=True) if e is None or t < e)
        budget = level * max(Fraction(0), end - t)
        n_done = sum(sizes[:number])
        needs = {
            (c, n): Fraction(c * (sum(sizes) - n_done)) if n == 8 else Fraction(c * n * sum(sizes), 8) - total
            for c, n in entries
        }
        fitting = [(c * n, c) for c, n in entries if not less(budget, needs[c, n])]
        cost = max(fitting, default=min((c * n, c) for c, n in entries))[1]
        left, now, charged = Fraction(cost * size), t, Fraction(0)
        for value, e in zip(pieces.levels, ends, strict=True):
            if e is not None and e <= now:
                continue
            stop = e if overrun == "wait" or (e is not None and e < end) else Fraction(end)
            span = None if stop is None else stop - now
            if value and (span is None or not less(value * span, left)):
                now, left, charged = now + left / value, Fraction(0), charged + left
                break
            if span is None or (stop == end and overrun != "wait"):
                charged += 0 if span is None else value * span
                break
            now, left, charged = stop, left - value * span, charged + value * span
        if left:
            if overrun == "wait":
                return steps, "never", None
            total += charged
            break
        t, total = now, total + charged
        steps.append((cost, t))
    if len(steps) == len(sizes):
        return steps, "completed", total
    return steps, "partial" if overrun == "partial" and steps else "dropped", total


@given(
    levels=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    gaps=st.lists(st.integers(1, 4), min_size=5, max_size=5),
    entries=st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from([1, 3, 4, 8, 8])),
        min_size=1,
        max_size=6,
        unique_by=lambda entry: entry[0] * entry[1],
    ),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    start=st.integers(0, 3),
    end=st.integers(1, 14),
    overrun=st.sampled_from(["drop", "partial", "wait"]),
)
@example(
    levels=[100, 0], gaps=[1] * 5, entries=[(100, 8)], sizes=[2], start=0, end=6, overrun="wait"
)  # never done
def test_rounds_equal_the_exact_ones(
    levels: list[int],
    gaps: list[int],
    entries: list[tuple[int, int]],
    sizes: list[int],
    start: int,
    end: int,
    overrun: str,
) -> None:
    """Picks, ends of steps (1e-9), status and charged MACs of random rounds, with fronts of shares too."""
    pieces = Pieces(tuple(levels), tuple(sum(gaps[: i + 1]) for i in range(len(levels) - 1)))
    ordered = sorted(entries, key=lambda entry: entry[0] * entry[1])
    rows = (Entry((), (c,), c, float(c * n), share=n / 8) for c, n in ordered)
    front = Front(tuple(rows), "by hand", (), {})
    try:
        steps, status, charged = exact_round(pieces, entries, sizes, start, end, overrun)
    except TooCloseError:
        assume(False)

    def play():
        return schedule(
            sizes,
            Capacity(pieces, 1.0, 0.0),
            from_front(front),
            start_s=float(start),
            end_s=float(end),
            overrun=overrun,
        )

    if charged is None:
        with pytest.raises(NeverDoneError):
            play()
        return
    plan = play()
    assert plan.status == status
    assert [s.choice.counts[0] for s in plan.steps] == [cost for cost, _ in steps]
    assert [s.end_s for s in plan.steps] == pytest.approx([float(t) for _, t in steps], rel=1e-9, abs=1e-9)
    assert [s.macs for s in plan.steps] == [c * n for (c, _), n in zip(steps, sizes, strict=False)]
    assert abs(plan.macs - charged) <= 1  # MACs are whole
