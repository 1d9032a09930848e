"""Sub-models fixed for a round: which one a client takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Arrays, Job
from distreal_sim.client.schedule import Moment
from distreal_sim.client.task import Task
from distreal_sim.client.train import Traffic, both_ways
from distreal_sim.devices.capacity import Capacity
from distreal_sim.thinning.cost import n_parameters
from distreal_sim.thinning.structure import Counts

BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Level:
    """One size of sub-model.

    counts: (G,) kept channels; macs_per_example: of a training step; traffic: what travels with it.
    """

    counts: Counts
    macs_per_example: int
    traffic: Traffic


@dataclass(frozen=True)
class Ladder:
    """What clients may train, for methods whose clients go by their capacity alone (`Method.ladder`).

    levels: what there is to choose from. when: `never`: there is one level, for everybody; `round`: the
    dearest that fits at the start of the round (`largest_that_fits`), and who fits none skips it; `step`:
    before every step the dearest with which all examples left fit, or else the cheapest (`Front.lookup`;
    cheapest first).
    """

    levels: tuple[Level, ...]
    when: Literal["never", "round", "step"]


def whole_network(task: Task, arrays: Arrays) -> Ladder:
    """Everybody trains everything."""
    full = task.structure.full_counts()
    return Ladder((Level(full, task.macs_per_example(full), both_ways(arrays)),), "never")


def width_level(task: Task, counts: Counts) -> Level:
    """The sub-network of these channels, which travels both ways; the server knows which ones they are."""
    n_bytes = BYTES_PER_PARAMETER * n_parameters(task.structure, counts)
    return Level(counts, task.macs_per_example(counts), Traffic(n_bytes, n_bytes))


def fits(task: Task, job: Job, capacity: Capacity, traffic: Traffic, work_macs: int) -> bool:
    """Whether this much work ends in time if the capacity stays as it is now.

    Both transfers are left room for.
    """
    link = task.link(job.client_id)
    start_s = traffic.download_bytes / link.download_bytes_per_s
    end_s = task.deadline_s - traffic.upload_bytes / link.upload_bytes_per_s
    return work_macs <= Moment(start_s, end_s, capacity(0.0), ()).budget_macs


def largest_that_fits(task: Task, job: Job, capacity: Capacity, levels: Sequence[Level]) -> int | None:
    """Index of the dearest level whose planned work ends in time if the capacity stays as it is now.

    The work is that of the client's real batches. None if not even the cheapest fits.
    """
    n_examples = sum(batch_sizes(len(task.split[job.client_id]), task.local))
    fitting = [
        (level.macs_per_example, -index)
        for index, level in enumerate(levels)
        if fits(task, job, capacity, level.traffic, level.macs_per_example * n_examples)
    ]
    return -max(fitting)[1] if fitting else None
