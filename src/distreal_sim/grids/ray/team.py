"""Teams of Ray actors that work in parallel, with replacement of those that die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectLostError,
    OutOfMemoryError,
    WorkerCrashedError,
)

from distreal_sim.base.errors import InputError, RunError

LOST = (ActorDiedError, ActorUnavailableError, ObjectLostError, OutOfMemoryError, WorkerCrashedError)
"""Errors that Ray raises when a worker died or its machine is gone, before or after its answer."""

MAX_FAILED_STARTS = 10
"""Number of workers in a row that may die before they have started."""


class WorkersDiedError(RunError):
    """Workers cannot be set up, or every attempt at a job lost its worker or its answer.

    For a job the message names client and round.
    """


class Team:
    """The workers without work: idle ones, and ones that have not started yet.

    Only workers that have started get work: the others do not wait for a worker that has no room left because
    its machine is gone.
    """

    def __init__(self, make_worker: Callable[[], Any]) -> None:
        """make_worker(): the handle of a new actor. Once the actor runs, its `started` returns the reason why
        it cannot be used, or None.
        """
        self._make_worker = make_worker
        self.idle: list[Any] = []
        self.starting: dict[Any, Any] = {}
        self._n_failed = 0

    def start_one(self) -> None:
        """Asks Ray for another worker."""
        worker = self._make_worker()
        self.starting[worker.started.remote()] = worker

    def admit(self, reference: Any) -> None:
        """Admits a worker that has started, or replaces one that died before it started.

        Raises WorkersDiedError if workers cannot be set up, and InputError if this one cannot be used.
        """
        worker = self.starting.pop(reference)
        try:
            complaint = ray.get(reference)
        except LOST as error:
            self._n_failed += 1
            init_failed = isinstance(error, ActorDiedError) and error.actor_init_failed
            if init_failed or self._n_failed == MAX_FAILED_STARTS:
                message = f"a worker cannot be set up: {last_line(error)}"
                raise WorkersDiedError(message, str(error)) from None
            ray.kill(worker)
            self.start_one()
        else:
            self._n_failed = 0
            self.idle.append(worker)
            if complaint is not None:
                raise InputError(complaint)

    def close(self) -> None:
        """Ends the workers."""
        for worker in [*self.idle, *self.starting.values()]:
            ray.kill(worker)


def last_line(error: Exception) -> str:
    """The last line of an exception from another process; Ray puts a traceback before it."""
    return [line.strip() for line in str(error).splitlines() if line.strip()][-1]
