"""A client's round in simulated time: which step runs with which sub-network, and when it ends.

Time depends on capacities and sub-network sizes only, never on the arithmetic, so a whole round is timed
before the first step is computed, and a step whose result would be lost is never computed at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from distreal_sim.client.messages import Status
from distreal_sim.devices.capacity import Capacity
from distreal_sim.thinning.structure import Counts

Overrun = Literal["drop", "partial", "wait"]

TOLERANCE = 1e-9
"""Relative slack of every comparison of a cost with a budget, so that "just fits" fits in floating point."""

PATIENCE = 100_000.0
"""With overrun `wait`, a client that needs more than this many deadlines is an error, not a long round."""


class NeverDoneError(Exception):
    """A client that the server waits for has no capacity left to finish."""


def never_done(index: int, n_planned: int) -> str:
    """What the error says of a step, counted from 0."""
    return (
        f"too little capacity to finish step {index + 1} of {n_planned} within {PATIENCE:,.0f} deadlines, "
        "and method.overrun is wait"
    )


class Moment(NamedTuple):
    """What a client knows before a step; times relative to the start of the round.

    macs_per_s: capacity now. end_s: when the computation must be done. n_left: examples of this and all
    later planned steps. remaining: sizes of those batches.
    """

    t_s: float
    end_s: float
    macs_per_s: float
    remaining: Sequence[int]

    @property
    def n_left(self) -> int:
        return sum(self.remaining)

    @property
    def budget_macs(self) -> float:
        """MACs until the end if the capacity stayed as it is now, tolerance included."""
        if self.macs_per_s == 0 or self.end_s <= self.t_s:
            return 0.0
        return self.macs_per_s * (self.end_s - self.t_s) * (1 + TOLERANCE)


Choose = Callable[[Moment], Counts]
"""Chooses the kept channels of the next step."""


class Step(NamedTuple):
    """A finished step."""

    n_examples: int
    counts: Counts
    macs: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Schedule:
    """The finished steps of a round and what they cost.

    macs: what the client computed, an unfinished step included; compute_end_s: when it stopped computing.
    """

    steps: tuple[Step, ...]
    n_planned: int
    macs: int
    compute_end_s: float
    status: Status


def schedule(
    sizes: Sequence[int],
    capacity: Capacity,
    macs_per_example: Callable[[Counts], int],
    choose: Choose,
    *,
    start_s: float,
    end_s: float,
    overrun: Overrun,
    deadline_s: float | None = None,
) -> Schedule:
    """Times the planned mini-batches of `sizes` from start_s (relative) towards end_s.

    end_s: when the computation must be done, which the transfers may put before start_s; deadline_s: the
    planned length of the round, |end_s| if not given. A step unfinished at end_s is undone but charged;
    overrun says what becomes of the finished ones. Raises NeverDoneError when the server waits for a client
    without capacity.
    """
    waits = overrun == "wait"
    limit_s = start_s + PATIENCE * (abs(end_s) if deadline_s is None else deadline_s) if waits else end_s
    steps: list[Step] = []
    t_s, macs = start_s, 0
    for index, size in enumerate(sizes):
        if t_s >= limit_s and not waits:
            break
        counts = choose(Moment(t_s, end_s, capacity(t_s), sizes[index:]))
        cost = macs_per_example(counts) * size
        done_s = capacity.finish(t_s, cost, limit_s)
        if done_s == math.inf and waits:
            raise NeverDoneError(never_done(index, len(sizes)))
        if done_s == math.inf:
            offered = capacity.offered(t_s, end_s)
            # The slack counts for the round's work so far: it is what a plan made at the start may lack now.
            if cost - offered > TOLERANCE * (macs + cost):
                macs += int(offered)
                t_s = end_s
                break
            done_s = end_s
        steps.append(Step(size, counts, cost, t_s, done_s))
        t_s, macs = done_s, macs + cost
    if len(steps) == len(sizes):
        status: Status = "completed"
    else:
        status = "partial" if overrun == "partial" and steps else "dropped"
    return Schedule(tuple(steps), len(sizes), macs, t_s, status)
