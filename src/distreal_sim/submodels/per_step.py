"""Sub-networks that a client chooses for each mini-batch by its capacity of that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from distreal_sim.client.client import Client
from distreal_sim.client.schedule import Choice, Choose, Moment
from distreal_sim.client.task import Task
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.levels import Level, PerStep
from distreal_sim.submodels.steps import distil_step
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


def front_levels(task: Task) -> PerStep:
    """The entries of the task's front; the whole model travels, and back with it what each step kept."""
    assert task.front is not None
    traffic = task.traffic(task.model_sizes, coverage=True)

    def level(entry: Entry, rank: int) -> Level:
        return Level(entry.counts, task.macs_per_example(entry.counts), traffic, share=entry.share, rank=rank)

    return PerStep(tuple(map(level, task.front.entries, task.front.ranks)))


def pick_pair(
    front: Front, moment: Moment, u: float, macs: Callable[[Counts], int]
) -> tuple[Counts, Counts | None]:
    """Kept channels of a teacher, and of a pupil that its outputs teach; None where there is no cheaper one.

    The teacher is the most expensive entry with which both passes over all examples left fit the capacity of
    this moment, or the cheapest one, which has no pupil. u in [0, 1) says which of the cheaper entries the
    pupil is; of each group it keeps no more than the teacher, so that it is part of it.
    """
    budget = moment.budget_macs / moment.n_left
    for index in reversed(range(1, front.lookup(budget) + 1)):
        teacher, other = front.entries[index], front.entries[int(u * index)]
        pupil = tuple(min(pair) for pair in zip(teacher.counts, other.counts, strict=True))
        if teacher.macs + macs(pupil) <= budget:
            return teacher.counts, pupil
    return front.entries[0].counts, None


def distilled(client: Client, orders: Orders) -> Choose:
    """Steps as of `pick_pair`: the labels teach the larger sub-network, and its outputs the smaller one."""
    task = client.task
    structure, macs = task.structure, task.macs_per_example
    assert task.front is not None
    front = task.front.fastest  # who takes part has memory for the whole network
    draws = client.rngs("pupils").random(len(client.batch_sizes))

    def choose(moment: Moment) -> Choice:
        teacher, pupil = pick_pair(front, moment, draws[moment.step], macs)

        if pupil is None:
            return Choice(teacher, macs(teacher), lambda: take(structure, orders(moment.step), teacher))
        narrow: list[Mask] = []

        def draw() -> Mask:
            order = orders(moment.step)
            narrow.append(take(structure, order, pupil))
            return take(structure, order, teacher)

        def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
            return distil_step(task.scoring.learning, engine, x, y, mask, narrow[0], lr)

        return Choice(teacher, macs(teacher) + macs(pupil), draw, compute)

    return choose
