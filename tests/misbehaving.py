"""Methods of somebody else's, named by dotted path: clients that remember, raise, or kill their worker."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import psutil
from torch import Tensor, nn

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.methods.adalearner import AdaLearner
from distreal_sim.methods.astraea import Astraea
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.methods.ts_fl import TsFl


class Remembers(Method):
    """Every client keeps the number of its rounds, and a vector to which it adds its round's number.

    The count shows in the learned model, so that a lost or doubled one changes every result: the classifier's
    bias, `linear.bias` or `out.bias`, is shifted by count / 1000.
    """

    def train(self, client: Client, job: Job) -> Update:
        count = job.memory.get("count", np.array(0)) + 1
        vector = job.memory.get("vector", np.zeros(3, np.float32)) + np.float32(job.round.number)
        update = super().train(client, job)
        if update.is_merged and update.arrays:  # none where a job is only timed
            name = "linear.bias" if "linear.bias" in update.arrays else "out.bias"
            bias = update.arrays[name] + np.float32(count / 1000)
            update = replace(update, arrays={**update.arrays, name: bias})
        return replace(update, memory={"count": np.array(count), "vector": vector})


class Remembering(Remembers, FedAvg):
    """FedAvg whose clients remember."""


class Lingers(Remembers):
    """A client that also waits for the seconds that the environment names, which change no result."""

    def train(self, client: Client, job: Job) -> Update:
        time.sleep(float(os.environ.get("LINGER_WALL_S", "0")))
        return super().train(client, job)


class Lingering(Lingers, FedAvg):
    """FedAvg whose clients remember and wait."""


class LingeringAstraea(Lingers, Astraea):
    """Astraea whose clients remember and wait."""


class LingeringAdaLearner(Lingers, AdaLearner):
    """AdaLearner whose workers remember and wait."""


class LingeringTsFl(Lingers, TsFl):
    """TS-FL whose servers remember and wait."""


class Hasty(FedAvg):
    """It merges the first update only."""

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        return super().merge(task, state, now, iter([next(updates)]))


class Misbehaving(Remembering):
    """A client that is selected in `at_round` does its work and then misbehaves, before it can reply.

    marker: file that the first such client creates and that spares all others; None: nobody is spared, ever.
    only: the one client that does; None: any.
    """

    at_round: int
    marker: Path | None = None
    only: int | None = None

    def train(self, client: Client, job: Job) -> Update:
        update = super().train(client, job)
        if self.only not in (None, job.client_id):
            return update
        if job.round.number == self.at_round and (self.marker is None or not self.marker.exists()):
            if self.marker is not None:
                self.marker.write_text(f"client {job.client_id}")
            self.misbehave()
        return update

    def misbehave(self) -> None:
        raise NotImplementedError


class Killing(Misbehaving):
    """It kills its worker."""

    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Quitting(Misbehaving):
    """It ends its worker as `os._exit` in somebody's own code would, without an exception."""

    def misbehave(self) -> None:
        os._exit(3)


class Starving(Misbehaving):
    """It asks for 8 GB where 256 MB are left."""

    def misbehave(self) -> None:
        used_bytes = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes + 2**28, resource.RLIM_INFINITY))
        np.ones(2**30)


class Hanging(Misbehaving):
    """It never answers."""

    def misbehave(self) -> None:
        time.sleep(3600)


class Diverging(FedAvg):
    """The clients of `at_round` with odd numbers get a weight that is not a number."""

    at_round: int

    def train(self, client: Client, job: Job) -> Update:
        if job.round.number == self.at_round and job.client_id % 2:
            bias = np.full_like(job.arrays["linear.bias"], np.nan)
            job = replace(job, arrays={**job.arrays, "linear.bias": bias})
        return super().train(client, job)


class Raising(FedAvg):
    """A client that is selected in `at_round` raises an exception."""

    at_round: int

    def train(self, client: Client, job: Job) -> Update:
        if job.round.number == self.at_round:
            raise ValueError("the sensor is on fire")
        return super().train(client, job)


class Mortal(nn.Sequential):
    """A network that ends the process in which it is tested, unless that is the one with this id."""

    def __init__(self, shape: tuple[int, ...], n_classes: int, spared: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(math.prod(shape), n_classes))
        self.spared = spared

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and os.getpid() != self.spared:
            os._exit(3)
        return cast("Tensor", super().forward(x))


class Homebound(FedAvg):
    """Cannot be sent to another process."""

    def __setstate__(self, state: object) -> None:
        raise RuntimeError("there is no place like home")


class Writing(FedAvg):
    """Clients report whether they could write into the data set and into the model they were sent."""

    def train(self, client: Client, job: Job) -> Update:
        update = super().train(client, job)
        x = client.task.data.train.x
        writeable = [x.flags.writeable, next(iter(job.arrays.values())).flags.writeable]
        return replace(update, memory={"writeable": np.array(writeable)})
