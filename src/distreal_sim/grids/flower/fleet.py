"""The fleet that is reached through a Flower Grid."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from distreal_sim.base.errors import ClientFailedError
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.grids.flower.grid import LocalGrid
from distreal_sim.grids.flower.messages import (
    PublishedArrays,
    arrays_of,
    decode_arrays,
    decode_update,
    encode_job,
    encode_part,
    publish_arrays,
)
from distreal_sim.simulation import evaluation
from distreal_sim.simulation.client_scores import client_shards, scores_of
from distreal_sim.submodels.submodel import SubModel

POLL_WALL_S = 0.05
"""Pause before polling a grid again that had no reply; our own grids block until there is one."""


JobKey = tuple[int, int]
"""(client, `Round.key`), which no two jobs share."""


def _key(job: Job) -> JobKey:
    return job.client_id, job.round.key


@dataclass(frozen=True)
class Parcel:
    """A message to be sent: its client, its content, and the expected cost of the reply."""

    client_id: int
    content: RecordDict
    cost: float


class GridFleet:
    """Clients reached through a Flower Grid.

    nodes: client id -> node id; None if the two are equal. window: number of messages that may be in flight
    beyond the one whose reply is needed next; it bounds the memory held by early replies. states: the grid
    that owns the clients' memory; None if the nodes own it, where no checkpoint can save it.
    """

    def __init__(
        self,
        grid: Grid,
        task: Task,
        *,
        nodes: Mapping[int, int] | None,
        window: int,
        states: LocalGrid | None,
    ) -> None:
        self.grid = grid
        self.task = task
        self.nodes = nodes
        self.window = window
        self.states = states
        self._awaited: dict[str, None] = {}  # messages without a reply, in the order in which they were sent
        self._ready: dict[str, RecordDict] = {}
        self._waiting: dict[JobKey, Job] = {}  # submitted jobs that were not sent yet, in the order of need
        self._sent: dict[JobKey, str] = {}  # messages of submitted jobs whose results were not taken
        self._withdrawn: set[str] = set()

    def publish(self, arrays: Arrays) -> PublishedArrays:
        """The arrays as views of the record that carries them; our own grids store the record once."""
        published = publish_arrays(arrays)
        if self.states is not None:
            self.states.store(published.record)
        return published

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """One update per job, in the order of the jobs."""
        distinct = {id(job.arrays): job.arrays for job in jobs}
        published = {key: self.publish(arrays) for key, arrays in distinct.items()}
        parcels = [
            Parcel(
                job.client_id,
                encode_job(job, published[id(job.arrays)].record),
                self.task.predicted_macs(job.client_id, job.round.start_s),
            )
            for job in jobs
        ]
        group = str(jobs[0].round.number) if jobs else ""
        return (decode_update(reply) for reply in self._exchange("train", group, parcels))

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Fleet.submit`. At most `window` submitted jobs are sent ahead."""
        distinct = {id(job.arrays): job.arrays for job in jobs}
        published = {key: self.publish(arrays) for key, arrays in distinct.items()}
        self._waiting |= {_key(job): replace(job, arrays=published[id(job.arrays)]) for job in jobs}
        self._send_ahead()

    def result(self, job: Job) -> Update:
        """See `Fleet.result`."""
        if _key(job) not in self._sent:
            self._send(self._waiting.pop(_key(job)))
        message_id = self._sent[_key(job)]
        update = decode_update(self._reply(message_id))
        del self._sent[_key(job)]
        if self.states is not None:
            self.states.accept(message_id)
        self._send_ahead()
        return update

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """See `Fleet.withdraw`; the replies to jobs that were sent are not used."""
        for job in jobs:
            if self._waiting.pop(_key(job), None) is None:
                message_id = self._sent.pop(_key(job))
                if self._ready.pop(message_id, None) is None:
                    self._withdrawn.add(message_id)
                else:
                    self._forget(message_id)

    def _forget(self, message_id: str) -> None:
        if self.states is not None:
            self.states.forget(message_id)

    def _send_ahead(self) -> None:
        while self._waiting and len(self._sent) < self.window:
            self._send(self._waiting.pop(next(iter(self._waiting))))

    def _send(self, job: Job) -> None:
        content = encode_job(job, self.publish(job.arrays).record)
        message = self._message("train", str(job.round.number), Parcel(job.client_id, content, 0.0))
        self._sent[_key(job)] = self._push([message])[0]
        if self.states is not None:
            self.states.defer(self._sent[_key(job)])

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], part: SubModel | None = None
    ) -> Arrays:
        """Batch-norm statistics averaged over batches of the clients; empty without batch norm.

        part: the part of the network that they are for; None: the whole network.
        """
        shards = evaluation.statistics_shards(self.task, client_ids)
        model = self.publish(arrays).record
        about: dict[str, Any] = {"round": round_number, **encode_part(part)}
        parcels = [
            Parcel(
                clients[0],
                RecordDict(
                    {
                        "arrays": model,
                        "shard": ConfigRecord({**about, "clients": clients, "draws": draws}),
                    }
                ),
                len(clients),
            )
            for clients, draws in shards
        ]
        replies = self._exchange("query.statistics", str(round_number), parcels)
        return evaluation.join_statistics([decode_arrays(arrays_of(r, "statistics")) for r in replies])

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, part: SubModel | None = None
    ) -> dict[str, np.ndarray]:
        """See `Fleet.evaluate`."""
        about: dict[str, Any] = {"round": round_number, **encode_part(part)}
        bounds = evaluation.test_shards(self.task)
        model, stats = self.publish(arrays).record, self.publish(statistics).record
        parcels = [
            Parcel(
                index % len(self.task.split),
                RecordDict(
                    {
                        "arrays": model,
                        "statistics": stats,
                        "shard": ConfigRecord({**about, "start": start, "stop": stop}),
                    }
                ),
                stop - start,
            )
            for index, (start, stop) in enumerate(pairwise(bounds))
        ]
        replies = self._exchange("evaluate", str(round_number), parcels)
        results = [decode_arrays(arrays_of(reply, "result")) for reply in replies]
        return self.task.scoring.join(results)

    def evaluate_clients(
        self, arrays: Arrays, statistics: Arrays, round_number: int
    ) -> dict[int, dict[str, float]]:
        """The scores of each tested client on its own test examples."""
        model, stats = self.publish(arrays).record, self.publish(statistics).record
        parcels = [
            Parcel(
                clients[0],
                RecordDict(
                    {
                        "arrays": model,
                        "statistics": stats,
                        "shard": ConfigRecord({"round": round_number, "clients": clients}),
                    }
                ),
                len(clients),
            )
            for clients in client_shards(self.task)
        ]
        replies = self._exchange("query.clients", str(round_number), parcels)
        return scores_of(self.task, (decode_arrays(arrays_of(reply, "result")) for reply in replies))

    def contexts(self) -> dict[int, bytes]:
        """The clients' memory between rounds, by client id."""
        return self.states.snapshot() if self.states is not None else {}

    def restore(self, contexts: dict[int, bytes]) -> None:
        """Restores the clients' memory from a checkpoint."""
        if self.states is not None:
            self.states.restore(contexts)

    def _exchange(self, kind: str, group: str, parcels: Sequence[Parcel]) -> Iterator[RecordDict]:
        """Sends the parcels, most expensive first, and yields the replies in the order of the parcels."""
        sent: dict[int, str] = {}
        n_sent = 0
        for wanted in range(len(parcels)):
            until = min(len(parcels), wanted + self.window)
            fresh = sorted(range(n_sent, until), key=lambda i: (-parcels[i].cost, i))
            messages = [self._message(kind, group, parcels[i]) for i in fresh]
            if messages:
                sent |= zip(fresh, self._push(messages), strict=True)
                n_sent = until
            yield self._reply(sent.pop(wanted))

    def _push(self, messages: Sequence[Message]) -> list[str]:
        ids = list(self.grid.push_messages(messages))
        self._awaited |= dict.fromkeys(ids)
        return ids

    def _reply(self, message_id: str) -> RecordDict:
        """The reply to a message; others that come meanwhile are kept for those who ask for them."""
        while message_id not in self._ready:
            replies = list(self.grid.pull_messages(list({message_id: None, **self._awaited})))
            for reply in replies:
                answered = reply.metadata.reply_to_message_id
                del self._awaited[answered]
                if answered in self._withdrawn:
                    self._withdrawn.remove(answered)
                    self._forget(answered)
                elif reply.has_error():
                    raise failure(reply)
                else:
                    self._ready[answered] = reply.content
            if not replies:
                time.sleep(POLL_WALL_S)
        return self._ready.pop(message_id)

    def _message(self, kind: str, group: str, parcel: Parcel) -> Message:
        node_id = parcel.client_id if self.nodes is None else self.nodes[parcel.client_id]
        return Message(parcel.content, dst_node_id=node_id, message_type=kind, group_id=group)


def failure(reply: Message) -> ClientFailedError:
    """The error of a failed reply; its reason is a message followed by a traceback."""
    reason = reply.error.reason or "a client failed without giving a reason"
    message, marker, trace = reason.partition("Traceback (most recent call last):")
    return ClientFailedError(message.strip(), marker + trace)
