"""Clients as Ray actors: resident workers that each answer for any client.

Arrays that many messages share go into Ray's object store once and are decoded once per worker. The driver
owns the clients' states: a job travels with the state from before it and the new state is kept when its
reply is accepted, so a job that is done again, because its worker died, starts from the same state.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from ray._private import worker as ray_worker
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, WorkerCrashedError

from distreal_sim.errors import InputError, RunError
from distreal_sim.grids import LocalGrid, identify, make_context
from distreal_sim.threads import one_thread

logger = logging.getLogger(__name__)

MAX_TRIES = 3
"""How often a job is sent to a worker that dies of it."""

SHARED_KEPT = 4
"""How many shared records a worker and the driver remember: a round's model, its statistics, and spares."""

MakeApp = Callable[[Any], ClientApp]


class WorkersDiedError(RunError):
    """A client whose worker died every time; the message names it."""


@dataclass
class Parcel:
    """A message on its way: its content without the shared records, and where those are."""

    message: Message
    own: RecordDict
    shared: dict[str, Any]
    tries: int = 0


class Worker:
    """The process of one actor."""

    def __init__(self, make_app: MakeApp, payload: Any) -> None:
        one_thread()
        identify()
        self.app = make_app(payload)
        self.records: dict[Any, ArrayRecord] = {}

    def answer(
        self, message: Message, own: RecordDict, shared: dict[str, Any], state: RecordDict
    ) -> tuple[Message, RecordDict]:
        """The reply to a message and the client's new state."""
        content = RecordDict(dict(own))
        for key, ref in shared.items():
            content[key] = self._record(ref)
        message.content = content
        context = make_context(message.metadata.dst_node_id, state)
        return self.app(message, context), context.state

    def _record(self, ref: Any) -> ArrayRecord:
        if ref not in self.records:
            while len(self.records) >= SHARED_KEPT:
                self.records.pop(next(iter(self.records)))
            self.records[ref] = ray.get(ref)
        return self.records[ref]


class RayGrid(LocalGrid):
    """A fixed number of resident workers.

    make_app(payload) builds the ClientApp inside each worker; the payload goes into the object store once.
    n_gpus: how many GPUs the workers share among themselves; without one Ray hides them from a worker.
    """

    def __init__(
        self, make_app: MakeApp, payload: Any, n_clients: int, n_workers: int, n_gpus: int = 0
    ) -> None:
        super().__init__(n_clients)
        self._gpus_each = n_gpus / n_workers
        self._make_app = make_app
        self._payload = ray.put(payload)
        self._idle = [self._start_worker() for _ in range(n_workers)]
        self._queue: deque[str] = deque()
        self._parcels: dict[str, Parcel] = {}
        self._working: dict[Any, tuple[str, Any]] = {}
        self._shared: dict[int, tuple[ArrayRecord, Any]] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Takes the messages; idle workers begin at once, in the order given."""
        ids = []
        for message in messages:
            ids.append(self.name_message(message))
            own, shared = RecordDict(), {}
            for key, record in message.content.items():
                if isinstance(record, ArrayRecord):
                    shared[key] = self._share(record)
                else:
                    own[key] = record
            message.content = RecordDict()
            self._parcels[ids[-1]] = Parcel(message, own, shared)
            self._queue.append(ids[-1])
        self._dispatch()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Waits for at least one reply; workers that have answered go on with what is queued."""
        replies: list[Message] = []
        while not replies and self._working:
            done, _ = ray.wait(list(self._working), num_returns=1)
            answers = [(ref, *self._working.pop(ref)) for ref in done]
            for ref, message_id, worker in answers:
                reply = self._collect(ref, message_id, worker)
                if reply is not None:
                    replies.append(reply)
            self._dispatch()
        return replies

    def close(self) -> None:
        """Ends the workers."""
        for _, worker in self._working.values():
            ray.kill(worker)
        for worker in self._idle:
            ray.kill(worker)

    def _collect(self, ref: Any, message_id: str, worker: Any) -> Message | None:
        parcel = self._parcels[message_id]
        client_id = parcel.message.metadata.dst_node_id
        where = f"client {client_id}, round {parcel.message.metadata.group_id}"
        try:
            reply, state = ray.get(ref)
        except (ActorDiedError, ActorUnavailableError, WorkerCrashedError, OutOfMemoryError) as error:
            if isinstance(error, ActorDiedError) and error.actor_init_failed:
                raise WorkersDiedError(
                    f"a worker cannot be set up: {_last_line(error)}", str(error)
                ) from None
            parcel.tries += 1
            if parcel.tries == MAX_TRIES:
                raise WorkersDiedError(
                    f"{where}: its worker died {MAX_TRIES} times while it was at work (killed for want of "
                    "memory, or a crash in native code?)",
                    str(error),
                ) from None
            logger.warning("%s: its worker died; the job is done again", where)
            ray.kill(worker)  # one that is merely out of reach would keep its core
            self._idle.append(self._start_worker())
            self._queue.appendleft(message_id)
            return None
        self._idle.append(worker)
        del self._parcels[message_id]
        if len(state) and not reply.has_error():
            self.states[client_id] = state
        return reply  # type: ignore[no-any-return]

    def _dispatch(self) -> None:
        while self._idle and self._queue:
            message_id = self._queue.popleft()
            parcel = self._parcels[message_id]
            worker = self._idle.pop()
            state = self.states.get(parcel.message.metadata.dst_node_id, RecordDict())
            ref = worker.answer.remote(parcel.message, parcel.own, parcel.shared, state)
            self._working[ref] = message_id, worker

    def _share(self, record: ArrayRecord) -> Any:
        if id(record) not in self._shared:
            while len(self._shared) >= SHARED_KEPT:
                self._shared.pop(next(iter(self._shared)))
            self._shared[id(record)] = record, ray.put(record)
        return self._shared[id(record)][1]

    def _start_worker(self) -> Any:
        return ray.remote(num_cpus=1, num_gpus=self._gpus_each, max_restarts=0)(Worker).remote(
            self._make_app, self._payload
        )


@contextlib.contextmanager
def ray_instance(n_workers: int) -> Iterator[None]:
    """Within the block there is a Ray instance, on loopback only; one that was there before is used.

    Raises InputError when Ray cannot start.
    """
    if ray.is_initialized():
        yield
        return
    ray_worker.print_to_stdstream = lambda *args, **kwargs: None  # a paragraph on stdout for each dead worker
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p or os.getcwd() for p in sys.path))
    try:
        ray.init(
            address="local",
            num_cpus=n_workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:
        raise InputError(
            f"Ray cannot start: {_one_line(error)}; it needs memory, and room in RAY_TMPDIR (or TMPDIR, "
            "or /tmp); --grid serial does without it"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _last_line(error: Exception) -> str:
    """What an exception in another process says: Ray puts its traceback first."""
    return [line.strip() for line in str(error).splitlines() if line.strip()][-1]


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
