"""What a job will cost, before it is sent: a guess from data and devices that runs no code of a method."""

from __future__ import annotations

from distreal_sim.batches import batch_sizes
from distreal_sim.task import Task


def predicted_macs(task: Task, client_id: int, start_s: float) -> float:
    """MACs of a client's round that begins at start_s: its planned work with the full network, or what its
    capacity allows until the deadline, whichever is less.
    """
    planned = sum(batch_sizes(len(task.split[client_id]), task.local))
    full_macs = planned * task.macs_per_example(task.structure.full_counts())
    return min(float(full_macs), task.capacity(client_id, start_s).offered(0.0, task.deadline_s))
