"""One simulated client during one round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Job, Round, Update
from distreal_sim.client.schedule import Moment
from distreal_sim.client.task import Task
from distreal_sim.client.traffic import Traffic
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.links import Link


@dataclass(frozen=True)
class Client:
    """A simulated device with its data, in one round. What it has is worked out when it is asked for."""

    task: Task
    id: int
    round: Round

    @cached_property
    def examples(self) -> np.ndarray:
        """(n,) indices of its training examples."""
        return self.task.split[self.id]

    @cached_property
    def batch_sizes(self) -> list[int]:
        """Examples of each planned mini-batch."""
        return batch_sizes(len(self.examples), self.task.local)

    @cached_property
    def capacity(self) -> Capacity:
        """MAC/s, in time relative to the start of the round."""
        return self.task.devices.capacity(self.id, self.round.start_s)

    @cached_property
    def link(self) -> Link:
        """Speeds of its network link."""
        return self.task.devices.link(self.id)

    @cached_property
    def rngs(self) -> Rngs:
        """Its generators of this round, each keyed by its purpose."""
        return Rngs(self.task.seed, (self.round.number, self.id))

    def compute_window(self, traffic: Traffic) -> tuple[float, float]:
        """(start_s, end_s) between the download and the upload, relative to the start of the round."""
        start_s = traffic.download_bytes / self.link.download_bytes_per_s
        return start_s, self.task.deadline_s - traffic.upload_bytes / self.link.upload_bytes_per_s

    def fits(self, work_macs: int, traffic: Traffic) -> bool:
        """Whether this much work ends in time if the capacity of the round's start holds.

        Both transfers are left room for.
        """
        start_s, end_s = self.compute_window(traffic)
        return work_macs <= Moment(start_s, end_s, self.capacity(0.0), ()).budget_macs


class Trains(Protocol):
    """What `do` needs of a method."""

    @property
    def name(self) -> str: ...

    def train(self, client: Client, job: Job) -> Update:
        """What one client does with its job."""
        ...


def do(task: Task, method: Trains, job: Job) -> Update:
    """A client's round: everything random in it is keyed by seed, round and client.

    Raises InputError where the method's `train` gives something else than an Update.
    """
    update: Any = method.train(Client(task, job.client_id, job.round), job)
    if not isinstance(update, Update):
        raise InputError(
            f"train() of method {method.name} must return an Update, such as distreal_sim.client.train.train "
            f"gives, not {'None' if update is None else type(update).__name__}"
        )
    return update
