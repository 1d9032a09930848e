"""Clients as Ray actors: resident workers that each answer for any client.

Records that are published go into Ray's object store once and are decoded once per worker. The driver
owns the clients' states: a job travels with the state from before it and the new state is kept when its
reply is accepted, so a job that is done again, because its worker died, starts from the same state. Workers
on the driver's machine leave their replies in memory that they share with it (`arena.py`); those of other
machines send them through Ray.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ray
from flwr.app import ArrayRecord, Message, MessageType, Metadata, RecordDict

from distreal_sim.grids.flower.grid import LocalGrid
from distreal_sim.grids.flower.messages import Published
from distreal_sim.grids.ray.shared_memory import Arena, Packed, Slot
from distreal_sim.grids.ray.team import LOST, Team, WorkersDiedError
from distreal_sim.grids.ray.worker import Check, MakeApp, Worker

logger = logging.getLogger(__name__)

MAX_TRIES = 3
"""How often a job is sent to a worker that dies of it."""

REPLIES_PER_WORKER = 8
"""How many replies per worker may lie in shared memory before others go through Ray: as many as jobs may run
ahead of the merge, and some that a merge keeps."""

SMALL = 65_536
"""Bytes that a reply may have beside as much as its message shares with others."""


@dataclass
class Parcel:
    """A message on its way: its content without the shared records, where those are, and room for a reply.

    alone: whether it was at a worker that died, and so has a worker of its own from then on.
    """

    message: Message
    own: RecordDict
    shared: dict[str, Any]
    reply_bytes: int
    tries: int = 0
    alone: bool = False


@dataclass
class Call:
    """A message at a worker; ref: of its answer; start_wall_s: when its turn came, on the monotonic clock."""

    message_id: str
    ref: Any
    slot: Slot | None
    start_wall_s: float


class RayGrid(LocalGrid):
    """A fixed number of resident workers.

    make_app(payload) builds the ClientApp inside each worker; the payload goes into the object store once.
    num_cpus, num_gpus: what Ray sets aside for each worker; without a share of a GPU it hides them from it.
    job_timeout_wall_s: a worker that takes longer to answer is taken for hung: it is killed and its job
    redone. check: what each worker, also one that takes the place of another, does before its first job.
    """

    def __init__(
        self,
        make_app: MakeApp,
        payload: Any,
        n_clients: int,
        n_workers: int,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        job_timeout_wall_s: float | None = None,
        check: Check = lambda: None,
    ) -> None:
        super().__init__(n_clients)
        actor = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=0)(Worker)
        stored = ray.put(payload)
        self._timeout_wall_s = job_timeout_wall_s
        self._arena = Arena(REPLIES_PER_WORKER * n_workers)
        self._team = Team(lambda: actor.remote(make_app, stored, self._arena.address, check))
        for _ in range(n_workers):
            self._team.start_one()
        self._queue: deque[str] = deque()
        self._parcels: dict[str, Parcel] = {}
        self._working: dict[Any, deque[Call]] = {}  # a worker does its calls in their order

    def store(self, record: Published) -> None:
        """Puts a record into Ray's object store, where it stays as long as the driver holds the record."""
        if record.handle is None:
            record.handle = ray.put(record)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Takes the messages; idle workers begin at once, in the order given."""
        ids = []
        for message in messages:
            ids.append(self.name_message(message))
            own, shared, reply_bytes = RecordDict(), {}, SMALL
            for key, record in message.content.items():
                if isinstance(record, Published) and record.handle is not None:
                    shared[key] = record.handle
                else:
                    own[key] = record
                if isinstance(record, ArrayRecord):
                    reply_bytes += record.count_bytes()
            message.content = RecordDict()
            self._parcels[ids[-1]] = Parcel(message, own, shared, reply_bytes)
            self._queue.append(ids[-1])
        self._dispatch()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Waits for at least one reply; workers that have answered go on with what is queued."""
        replies: list[Message] = []
        while not replies and (self._working or self._queue):
            workers = {calls[0].ref: worker for worker, calls in self._working.items()}
            waited_for = [*workers, *self._team.starting]
            done, _ = ray.wait(waited_for, num_returns=1, timeout=self._patience_wall_s())
            for ref in done:
                if ref in self._team.starting:
                    self._team.admit(ref)
                    continue
                reply = self._collect(workers[ref])
                if reply is not None:
                    replies.append(reply)
            self._give_up()
            self._dispatch()
        return replies

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._working:
            ray.kill(worker)
        self._team.close()

    def _collect(self, worker: Any) -> Message | None:
        """What a worker has answered to the first of its calls; None if it died."""
        calls = self._working[worker]
        try:
            answer = ray.get(calls[0].ref)
        except LOST as error:
            self._redo(
                worker, "its worker died", "(killed for want of memory, or a crash in native code?)", error
            )
            return None
        call = calls.popleft()
        if calls:
            calls[0].start_wall_s = time.monotonic()
        else:
            del self._working[worker]
            self._team.idle.append(worker)
        parcel = self._parcels.pop(call.message_id)
        if isinstance(answer, Packed) and call.slot is not None:
            answer = self._arena.unpack(answer, call.slot)
        elif call.slot is not None:
            self._arena.give_back(call.slot)
        reply, state = answer
        if len(state) and not reply.has_error():
            self.states[parcel.message.metadata.dst_node_id] = state
        return reply  # type: ignore[no-any-return]

    def _redo(self, worker: Any, what: str, why: str, error: Exception | None = None) -> None:
        """Puts the jobs of a lost worker first in the queue, and starts another worker.

        The one that it was at counts a try; the one that waited does not. Which it was may be wrong once:
        a worker that dies of its second job may not have sent the answer to the first. So from now on
        each has a worker to itself.
        """
        calls = self._working.pop(worker)
        parcel = self._parcels[calls[0].message_id]
        where = _where(parcel.message.metadata)
        parcel.tries += 1
        ray.kill(worker)  # one that is hung or merely out of reach would keep its core
        if parcel.tries == MAX_TRIES:
            message = f"{where}: {what} {MAX_TRIES} times while it was at work {why}"
            raise WorkersDiedError(message, str(error or ""))
        logger.warning("%s: %s; the job is done again", where, what)
        self._team.start_one()
        for call in reversed(calls):
            self._parcels[call.message_id].alone = True
            if call.slot is not None:
                self._arena.drop(call.slot)
            self._queue.appendleft(call.message_id)

    def _patience_wall_s(self) -> float | None:
        """How long to wait for an answer before the longest-running job is over its time."""
        if self._timeout_wall_s is None or not self._working:
            return None
        first_wall_s = min(calls[0].start_wall_s for calls in self._working.values())
        return max(0.0, first_wall_s + self._timeout_wall_s - time.monotonic())

    def _give_up(self) -> None:
        """Takes away jobs that are over their time."""
        if self._timeout_wall_s is None:
            return
        now_wall_s = time.monotonic()
        for worker, calls in list(self._working.items()):
            late = now_wall_s - calls[0].start_wall_s > self._timeout_wall_s
            # It may have answered while nobody looked.
            if late and not ray.wait([calls[0].ref], timeout=0)[0]:
                limit = f"(job_timeout_wall_s is {self._timeout_wall_s:g})"
                self._redo(worker, "its worker did not answer in time", limit)

    def _dispatch(self) -> None:
        while self._queue:
            worker = self._free_worker()
            if worker is None:
                return
            message_id = self._queue.popleft()
            parcel = self._parcels[message_id]
            state = self.states.get(parcel.message.metadata.dst_node_id, RecordDict())
            slot = self._arena.take(parcel.reply_bytes)
            ref = worker.answer.remote(parcel.message, parcel.own, parcel.shared, state, slot)
            call = Call(message_id, ref, slot, time.monotonic())
            self._working.setdefault(worker, deque()).append(call)

    def _free_worker(self) -> Any | None:
        """A worker with nothing to do, or else one to which a message can go ahead of its answer.

        So a worker need not wait while the driver is at a merge. The last jobs of a round do not go ahead:
        another worker may be done, or have started, first. The costly ones come first, so that who got its
        message last has the least to do.
        """
        if self._team.idle:
            return self._team.idle.pop()
        if len(self._queue) <= len(self._working) + len(self._team.starting) or self._is_alone(
            self._queue[0]
        ):
            return None
        for worker, calls in reversed(self._working.items()):
            if len(calls) == 1 and not self._is_alone(calls[0].message_id):
                return worker
        return None

    def _is_alone(self, message_id: str) -> bool:
        return self._parcels[message_id].alone


def _where(metadata: Metadata) -> str:
    """Which work a message asks for; a shard of an evaluation goes to a client that has no part in it."""
    if metadata.message_type == MessageType.TRAIN:
        return f"client {metadata.dst_node_id}, round {metadata.group_id}"
    return f"round {metadata.group_id}, while evaluating"
