"""A client's round in simulated time: which step runs with which sub-network, and when it ends.

Time depends only on capacities and sub-network sizes, never on the arithmetic, so a whole round is timed
before the first step is computed, and steps whose results would be lost are not computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from distreal_sim.client.messages import Status
from distreal_sim.client.settings import Overrun
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.presence import Presence
from distreal_sim.devices.rngs import OneOrMany
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts

TOLERANCE = 1e-9
"""Relative slack of every comparison of a cost with a budget, so that "just fits" fits in floating point."""

PATIENCE = 100_000.0
"""With overrun `wait`, a client that needs more than this many deadlines is an error, not a long round."""


class NeverDoneError(Exception):
    """A client that the server waits for has no capacity left to finish."""


def never_done(index: int, n_planned: int) -> str:
    """The error message for a step, counted from 0."""
    return (
        f"too little capacity to finish step {index + 1} of {n_planned} within {PATIENCE:,.0f} deadlines, "
        "and overrun is wait"
    )


def too_late(done_s: OneOrMany, deadline_s: float, overrun: Overrun) -> OneOrMany:
    """Whether an update that arrives at done_s is lost: links that change can be slower than expected."""
    return (overrun != "wait") & (done_s > deadline_s * (1 + TOLERANCE))


class Moment(NamedTuple):
    """The information that a client has before a step; times are relative to the start of the round.

    macs_per_s: capacity at t_s; end_s: when the computation must end; remaining: batch sizes of this and all
    later planned steps; n_left: their number of examples; step: number of this step, from 0; n_done,
    charged_macs: of the steps before it the examples, and the MACs of capacity that they took.
    """

    t_s: float
    end_s: float
    macs_per_s: float
    remaining: Sequence[int]
    step: int = 0
    n_done: int = 0
    charged_macs: int = 0

    @property
    def n_left(self) -> int:
        return sum(self.remaining)

    @property
    def budget_macs(self) -> float:
        """MACs until the end if the capacity stays as it is now, tolerance included."""
        if self.macs_per_s == 0 or self.end_s <= self.t_s:
            return 0.0
        return self.macs_per_s * (self.end_s - self.t_s) * (1 + TOLERANCE)


Compute = Callable[[Engine, Tensor, Tensor, Mask | None, float], float]
"""compute(engine, x, y, mask, lr): computes one step and returns its loss."""


def plain_step(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
    """A step on the task's loss, thinned where there is a mask."""
    return engine.step(x, y, mask, lr)


def keep_all() -> Mask | None:
    """Every channel."""
    return None


class Choice(NamedTuple):
    """The sub-network and the arithmetic of a client's next step.

    counts: (G,) kept channels of each group; macs_per_example: computed MACs per example; mask: draws the
    kept channels, None to keep all, and is called only for steps that are computed, in their order; compute:
    the step's arithmetic; charged_macs: MACs of capacity charged per example, None for macs_per_example.
    """

    counts: Counts
    macs_per_example: int
    mask: Callable[[], Mask | None] = keep_all
    compute: Compute = plain_step
    charged_macs: int | None = None

    @property
    def charge(self) -> int:
        """MACs of capacity that the step takes per example."""
        return self.macs_per_example if self.charged_macs is None else self.charged_macs


Choose = Callable[[Moment], Choice]
"""Chooses the next step, given the client's information just before it."""


class Step(NamedTuple):
    """A finished step."""

    n_examples: int
    choice: Choice
    macs: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Schedule:
    """The finished steps of a round and their cost.

    macs: all computed MACs, an unfinished step included; charged_macs: MACs of capacity that this took, the
    same unless time is measured; compute_end_s: when the client stopped computing; leaves_s: when the client
    leaves for good, inf if it stays to the end.
    """

    steps: tuple[Step, ...]
    n_planned: int
    macs: int
    charged_macs: int
    compute_end_s: float
    status: Status
    leaves_s: float = math.inf


def schedule(
    sizes: Sequence[int],
    capacity: Capacity,
    choose: Choose | Choice,
    *,
    start_s: float,
    end_s: float,
    overrun: Overrun,
    deadline_s: float | None = None,
    presence: Presence | None = None,
) -> Schedule:
    """Times the planned mini-batches of `sizes` from start_s (relative) towards end_s.

    choose: chooses each step just before it starts, or is the choice of all steps; end_s: when the
    computation must end, possibly before start_s if the transfers take long; deadline_s: the planned length
    of the round, |end_s| if not given. A step unfinished at end_s is undone but charged;
    overrun decides what happens to the finished steps. presence: when the client is there, None for always;
    while it is away no step begins. If it leaves for good before the end, its work ends there and is lost.
    Raises NeverDoneError when the server waits for a client without capacity.
    """
    length_s = abs(end_s) if deadline_s is None else deadline_s
    waits = overrun == "wait"
    limit_s = start_s + PATIENCE * length_s if waits else end_s
    leaves_s = math.inf if presence is None else presence.leaves_s(max(limit_s, length_s))
    left = leaves_s < limit_s
    limit_s = min(limit_s, leaves_s)
    waits = waits and not left
    steps: list[Step] = []
    t_s, macs, charged, n_done = start_s, 0, 0, 0
    for index, size in enumerate(sizes):
        if t_s >= limit_s and not waits:
            break
        if presence is not None and (t_s := presence.back_s(t_s, limit_s)) == math.inf:
            if waits:
                raise NeverDoneError(never_done(index, len(sizes)))
            t_s = limit_s
            break
        if isinstance(choose, Choice):
            choice = choose
        else:
            choice = choose(Moment(t_s, end_s, capacity(t_s), sizes[index:], index, n_done, charged))
        cost = choice.charge * size
        done_s = capacity.finish(t_s, cost, limit_s)
        if done_s == math.inf and waits:
            raise NeverDoneError(never_done(index, len(sizes)))
        if done_s == math.inf:
            offered = capacity.offered(t_s, limit_s)
            # The slack is relative to all work so far: a plan made at the start may fall short by that much.
            if cost - offered > TOLERANCE * (charged + cost):
                macs += int(offered * (choice.macs_per_example / choice.charge))
                charged += int(offered)
                t_s = limit_s
                break
            done_s = limit_s
        own = choice.macs_per_example * size
        steps.append(Step(size, choice, own, t_s, done_s))
        t_s, macs, charged, n_done = done_s, macs + own, charged + cost, n_done + size
    if len(steps) == len(sizes):
        status: Status = "completed"
    else:
        status = "partial" if overrun == "partial" and steps and not left else "dropped"
    return Schedule(tuple(steps), len(sizes), macs, charged, t_s, status, leaves_s)
