"""Clients as Ray actors: resident workers that each answer for any client.

Published records are put into Ray's object store once and decoded once per worker. The driver owns the
clients' states: a job travels with the state before it, and the new state is kept when its reply is accepted,
so a job that is redone because its worker died starts from the same state. Workers on the driver's machine
write their replies into memory shared with it (`shared_memory.py`); workers on other machines send them
through Ray.
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
"""Number of attempts at a job whose worker dies."""

REPLIES_PER_WORKER = 8
"""Replies per worker that may lie in shared memory before further ones go through Ray: one for each job that
may run ahead of the merge, and a few that a merge keeps."""

SMALL = 65_536
"""Bytes reserved for a reply in addition to the size of the records that its message shares with others."""


@dataclass
class Parcel:
    """A message in flight: its content without the shared records, their references, and the reply's size.

    alone: whether it was sent to a worker that died; from then on it gets a worker to itself.
    """

    message: Message
    own: RecordDict
    shared: dict[str, Any]
    reply_bytes: int
    tries: int = 0
    alone: bool = False


@dataclass
class Call:
    """A message at a worker; ref: reference to its answer; start_wall_s: monotonic time of its turn."""

    message_id: str
    ref: Any
    slot: Slot | None
    start_wall_s: float


class RayGrid(LocalGrid):
    """A fixed number of resident workers.

    make_app(payload) builds the ClientApp inside each worker; the payload goes into the object store once.
    num_cpus, num_gpus: resources that Ray reserves for each worker; without a share of a GPU a worker sees no
    GPU. job_timeout_wall_s: a worker that takes longer to answer counts as hung: it is killed and its job is
    redone. check: called by each worker, replacements included, before its first job.
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
        self._working: dict[Any, deque[Call]] = {}  # a worker processes its calls in order

    def store(self, record: Published) -> None:
        """Puts a record into Ray's object store, where it stays as long as the driver holds the record."""
        if record.handle is None:
            record.handle = ray.put(record)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queues the messages in the given order; idle workers begin at once."""
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
        """Waits for at least one reply; workers that have answered continue with queued messages."""
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
        """A worker's answer to the first of its calls; None if the worker died."""
        calls = self._working[worker]
        try:
            answer = ray.get(calls[0].ref)
        except LOST as error:
            self._redo(
                worker, "its worker died", "(killed for lack of memory, or a crash in native code?)", error
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
            self.keep(call.message_id, parcel.message.metadata.dst_node_id, state)
        return reply  # type: ignore[no-any-return]

    def _redo(self, worker: Any, what: str, why: str, error: Exception | None = None) -> None:
        """Puts the jobs of a lost worker first in the queue, and starts another worker.

        The job at work counts an attempt; the waiting job does not. The wrong job may be blamed once: a
        worker that dies in its second job may not have sent its answer to the first. So from then on each of
        these jobs gets a worker to itself.
        """
        calls = self._working.pop(worker)
        parcel = self._parcels[calls[0].message_id]
        where = _where(parcel.message.metadata)
        parcel.tries += 1
        ray.kill(worker)  # a worker that is hung or unreachable would keep its core
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
        """Time left until the longest-running job exceeds its time limit; None without a limit."""
        if self._timeout_wall_s is None or not self._working:
            return None
        first_wall_s = min(calls[0].start_wall_s for calls in self._working.values())
        return max(0.0, first_wall_s + self._timeout_wall_s - time.monotonic())

    def _give_up(self) -> None:
        """Redoes jobs that exceed their time limit."""
        if self._timeout_wall_s is None:
            return
        now_wall_s = time.monotonic()
        for worker, calls in list(self._working.items()):
            late = now_wall_s - calls[0].start_wall_s > self._timeout_wall_s
            # The answer may have arrived since the last wait.
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
        """An idle worker, or else a busy one that can be sent its next message before it has answered.

        The next message keeps a worker busy while the driver merges. The last jobs of a round are not sent
        ahead, because another worker may become free first. Expensive jobs are sent first, so the worker that
        got its message last has the least work left.
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
    """Names the work of a message; a shard of an evaluation is sent to an arbitrary client."""
    if metadata.message_type == MessageType.TRAIN:
        return f"client {metadata.dst_node_id}, round {metadata.group_id}"
    return f"round {metadata.group_id}, while evaluating"
