"""One simulated client during one round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.lazy import lazy
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.coding import Parts, encode_update
from distreal_sim.client.columns import (
    CHARGED,
    CONTROLLED,
    PEAK_MEMORY,
    SENDING_W,
    SPEED_SHARE,
    Column,
    names_of,
)
from distreal_sim.client.energy import ENERGY
from distreal_sim.client.messages import Arrays, Job, Round, Update
from distreal_sim.client.schedule import Moment
from distreal_sim.client.task import Task
from distreal_sim.client.traffic import Traffic
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.links import Link, Radio, Transfers, Use
from distreal_sim.devices.presence import Presence
from distreal_sim.thinning.structure import Counts

Empty = Callable[..., np.ndarray]

OF_CODEC = "codec/"
"""Prefix of the codec's arrays in a client's memory."""


@dataclass(frozen=True)
class Client:
    """A simulated device with its data, in one round; its properties are computed on first use.

    empty(shape, dtype): allocates the arrays of its update; chosen: see `examples`; told: see `Job`; planned:
    examples of each mini-batch, where a method plans other work than the round's.
    """

    task: Task
    id: int
    round: Round
    empty: Empty = np.empty
    chosen: np.ndarray | None = None
    told: Mapping[str, float] = field(default_factory=dict)
    planned: tuple[int, ...] | None = None

    @lazy
    def examples(self) -> np.ndarray:
        """(n,) indices of the examples that it trains on: all of its own, or those that the method chose."""
        return self.task.split[self.id] if self.chosen is None else self.chosen

    @lazy
    def batch_sizes(self) -> list[int]:
        """Examples of each planned mini-batch."""
        now = self.round
        if self.planned is not None:
            return list(self.planned)
        return batch_sizes(len(self.examples), self.task.local.doing(now.epochs, now.steps))

    @property
    def epoch(self) -> list[int]:
        """Examples of each mini-batch of one pass over all of its examples."""
        return batch_sizes(len(self.examples), self.task.local.doing(epochs=1))

    @lazy
    def capacity(self) -> Capacity:
        """MAC/s, in time relative to the start of the round; the share of it that its controller set."""
        own = self.task.devices.capacity(self.id, self.round.start_s)
        share = self.told.get(SPEED_SHARE.name, 1.0)
        return own if share == 1 else replace(own, scale=share * own.scale)

    @lazy
    def presence(self) -> Presence | None:
        """When it is there, in time relative to the start of the round; None: all the time."""
        return self.task.devices.presence(self.id, self.round.start_s)

    @lazy
    def link(self) -> Transfers:
        """Its network link in this round, at the power that its controller set."""
        own = self.task.devices.link(self.id, self._use)
        power_w = self.told.get(SENDING_W.name)
        if power_w is None or self.radio is None or not isinstance(own, Link):
            return own
        return own._replace(upload_bytes_per_s=self.radio.bytes_per_s(power_w))

    @lazy
    def radio(self) -> Radio | None:
        """The radio of its uploads; None where there is no model of it."""
        return self.task.devices.radio(self.id, self._use)

    @property
    def sending_w(self) -> float | None:
        """Power at which it sends; None where there is no model of its radio."""
        return None if self.radio is None else self.told.get(SENDING_W.name, self.radio.most_w)

    @property
    def _use(self) -> Use:
        return Use(self.round.number, self.round.start_s, self.round.n_selected)

    @lazy
    def rngs(self) -> Rngs:
        """Its generators of this round: `rngs("noise")` is a numpy generator of this purpose."""
        return Rngs(self.task.seed, (self.round.key, self.id))

    @lazy
    def memory_bytes(self) -> float:
        """Bytes that its training may take."""
        return self.task.devices.memory_bytes(self.id)

    def has_memory_for(self, counts: Counts) -> bool:
        """Whether a step on its largest mini-batch, with these channels kept, fits into its memory."""
        if self.memory_bytes == math.inf:
            return True
        return self.task.peak_bytes(counts, max(self.batch_sizes)) <= self.memory_bytes

    def compute_window(self, traffic: Traffic) -> tuple[float, float]:
        """(start_s, end_s) between the download and the upload, relative to the start of the round.

        The upload takes as long as the client expects.
        """
        start_s: float = max(self.round.delay_s, self.link.download_s(traffic.download_bytes))
        return start_s, self.task.deadline_s - self.link.expected_upload_s(traffic.upload_bytes)

    def fits(self, work_macs: int, traffic: Traffic) -> bool:
        """Whether work and both transfers end in time if the capacity at the round's start holds.

        work_macs: MACs of capacity, as levels are charged.
        """
        start_s, end_s = self.compute_window(traffic)
        return work_macs <= Moment(start_s, end_s, self.capacity(0.0), ()).budget_macs


class Trains(Protocol):
    """What `do` needs of a method."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def train(self, client: Client, job: Job) -> Update:
        """Trains one client on its job."""
        ...

    def answer(self, client: Client, job: Job) -> Update:
        """What one client answers instead of training (`Round.asks`)."""
        ...

    def travels(self, task: Task, job: Job, update: Update) -> Parts:
        """What travels of the update's arrays."""
        ...


def do(task: Task, method: Trains, job: Job, empty: Empty = np.empty) -> Update:
    """Runs one client's round; every random draw in it is keyed by seed, round and client.

    The task's codec encodes the update and keeps its own part of the client's memory. empty: see
    `Client`. Raises InputError where the method's `train` returns anything but an Update.
    """
    own, of_codec = _split(job.memory)
    client = Client(task, job.client_id, job.round, empty, told=job.told)
    trains = method.answer if job.round.asks else method.train
    update: Any = trains(client, replace(job, memory=own) if of_codec else job)
    if not isinstance(update, Update):
        raise InputError(
            f"train() of method {method.name} must return an Update, such as distreal_sim.client.train.train "
            f"gives, not {'None' if update is None else type(update).__name__}"
        )
    if update.metrics:
        _check_metrics(task, method, update)
    return _encoded(task, method, job, update, own, of_codec)


def _check_metrics(task: Task, method: Trains, update: Update) -> None:
    """Raises InputError for a metric that neither the method declares nor the run adds."""
    known = [*method.columns, *([CHARGED] if task.charges is not None else [])]
    known += ENERGY if task.devices.energy.counts else ()
    known += CONTROLLED if task.devices.controller.acts else ()
    known += [PEAK_MEMORY] if task.devices.memory.limits else []
    strange = sorted(update.metrics.keys() - set(names_of(known)))
    if strange:
        declared = ", ".join(names_of(method.columns)) or "none"
        raise InputError(
            f"train() of method {method.name} reports the metric '{strange[0]}', which is not among the "
            f"columns that the method declares ({declared}); add Column('{strange[0]}', ...) to its `columns`"
        )


def _encoded(task: Task, method: Trains, job: Job, update: Update, own: Arrays, of_codec: Arrays) -> Update:
    """The update as it travels; own, of_codec: the client's memory so far for its method and its codec."""
    if update.arrays and not task.codec.exact:
        parts = method.travels(task, job, update)
        arrays, of_codec = encode_update(task, job, update, parts, of_codec)
        update = replace(update, arrays=arrays)
    if not of_codec:
        return update
    own = own if update.memory is None else update.memory
    return replace(update, memory={**own, **{OF_CODEC + name: array for name, array in of_codec.items()}})


def _split(memory: Arrays) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(arrays of the method, arrays of the codec) in a client's memory."""
    kept: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
    for name, array in memory.items():
        kept[name.startswith(OF_CODEC)][name.removeprefix(OF_CODEC)] = array
    return kept
