"""A client's round in which every mini-batch trains a sub-network chosen for it, as capacity is just then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.schedule import Moment, Overrun
from distreal_sim.client.task import Task
from distreal_sim.client.train import both_ways, train
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.distil import distil_step
from distreal_sim.submodels.levels import Ladder, Level
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask, Select, draw_orders, take
from distreal_sim.thinning.structure import Counts, Structure

Resample = Literal["batch", "round"] | Annotated[int, Field(ge=1)]
"""How often filters are drawn: in every mini-batch, once a round, or in every n-th mini-batch."""

Orders = Callable[[int], list[np.ndarray]]
"""orders(step): of which channels the step keeps the first ones; asked step by step."""


def step_orders(
    structure: Structure, rng: np.random.Generator, filters: Select, resample: Resample, round_number: int
) -> Orders:
    """The orders of a client's round; a rolling window begins with channel 0 in round 1."""
    orders: list[np.ndarray] = []

    def of(step: int) -> list[np.ndarray]:
        nonlocal orders
        fresh = resample == "batch" or (resample != "round" and step % resample == 0)
        if fresh or not orders:
            orders = draw_orders(structure, rng, filters, round_number - 1)
        return orders

    return of


def pick(front: Front, moment: Moment) -> Counts:
    """Kept channels of the best entry with which all examples left fit the capacity of this moment."""
    return front.entries[front.lookup(moment.budget_macs / moment.n_left)].counts


def front_entries(task: Task, arrays: Arrays) -> Ladder:
    """What the clients of `train_thinned` choose from, step by step."""
    assert task.front is not None
    traffic = both_ways(arrays, coverage=True)
    levels = [
        Level(entry.counts, task.macs_per_example(entry.counts), traffic) for entry in task.front.entries
    ]
    return Ladder(tuple(levels), "step")


def train_thinned(
    task: Task, job: Job, capacity: Capacity, rngs: Rngs, orders: Orders, *, overrun: Overrun
) -> Update:
    """Looks every step's vector up in the task's front."""
    front = task.front
    assert front is not None
    return train(
        task,
        job,
        capacity,
        rngs,
        choose=lambda moment: pick(front, moment),
        draw_mask=lambda step, counts: take(task.structure, orders(step), counts),
        overrun=overrun,
    )


def pick_pair(
    front: Front, moment: Moment, u: float, macs: Callable[[Counts], int]
) -> tuple[Counts, Counts | None]:
    """Kept channels of a teacher, and of a pupil that its outputs teach; None where there is no cheaper one.

    The teacher is the dearest entry with which both passes over all examples left fit the capacity of this
    moment, or the cheapest one, which has no pupil. u in [0, 1) says which of the cheaper entries the
    pupil is; of each group it keeps no more than the teacher, so that it is part of it.
    """
    budget = moment.budget_macs / moment.n_left
    for index in reversed(range(1, front.lookup(budget) + 1)):
        teacher, other = front.entries[index], front.entries[int(u * index)]
        pupil = tuple(min(pair) for pair in zip(teacher.counts, other.counts, strict=True))
        if teacher.macs + macs(pupil) <= budget:
            return teacher.counts, pupil
    return front.entries[0].counts, None


def train_distilled(
    task: Task, job: Job, capacity: Capacity, rngs: Rngs, orders: Orders, *, overrun: Overrun
) -> Update:
    """Steps as of `pick_pair`: the labels teach the larger sub-network, and its outputs the smaller one."""
    front, structure, macs = task.front, task.structure, task.macs_per_example
    assert front is not None
    draws = rngs("pupils").random(len(batch_sizes(len(task.split[job.client_id]), task.local)))
    pupils: list[Counts | None] = []
    narrow: deque[Mask | None] = deque()

    def choose(moment: Moment) -> Counts:
        teacher, pupil = pick_pair(front, moment, draws[len(pupils)], macs)
        pupils.append(pupil)
        return teacher

    def cost(teacher: Counts) -> int:
        pupil = pupils[-1]
        return macs(teacher) + (0 if pupil is None else macs(pupil))

    def draw_mask(step: int, teacher: Counts) -> Mask:
        order, pupil = orders(step), pupils[step]
        narrow.append(None if pupil is None else take(structure, order, pupil))
        return take(structure, order, teacher)

    def step(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        pupil = narrow.popleft()
        if pupil is None:
            return engine.step(x, y, mask, lr)
        return distil_step(engine, x, y, mask, pupil, lr)

    return train(
        task, job, capacity, rngs, choose=choose, draw_mask=draw_mask, take=step, cost=cost, overrun=overrun
    )
