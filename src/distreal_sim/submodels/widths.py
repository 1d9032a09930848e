"""Sub-models of one width in every layer, fixed for a round."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Job, Update
from distreal_sim.client.schedule import Overrun
from distreal_sim.client.task import Task
from distreal_sim.client.train import TakeStep, take_step, train
from distreal_sim.devices.capacity import Capacity
from distreal_sim.submodels.levels import Level
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts, Structure

Rounding = Literal["floor", "ceil"]
Share = Annotated[float, Field(gt=0, le=1)]

HALVES = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""HeteroFL's levels a to e, which FedRolex has taken over."""

SLACK = 1e-9
"""What a product such as 0.2 * 15 = 3.0000000000000004 may be off a whole number."""


def width_counts(structure: Structure, share: float, rounding: Rounding) -> Counts:
    """(G,) channels of each hidden group at a width of `share` of them, at least one (of each block)."""
    counts = []
    for group in structure.groups:
        exact = share * (group.channels // group.blocks)
        rounded = math.ceil(exact - SLACK) if rounding == "ceil" else math.floor(exact + SLACK)
        counts.append(group.blocks * max(1, rounded))
    return tuple(counts)


def train_level(
    task: Task,
    job: Job,
    capacity: Capacity,
    rngs: Rngs,
    level: Level,
    mask: Mask,
    *,
    overrun: Overrun,
    take: TakeStep = take_step,
) -> Update:
    """Trains one sub-model for the whole round; mask: its channels, `level.counts` of them."""
    return train(
        task,
        job,
        capacity,
        rngs,
        choose=lambda moment: level.counts,
        draw_mask=lambda step, counts: mask,
        overrun=overrun,
        take=take,
        traffic=level.traffic,
    )
