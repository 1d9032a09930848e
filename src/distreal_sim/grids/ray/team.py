"""Ray actors that work beside each other, and the replacement of those that die."""

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
"""What Ray raises when a worker died or its machine is gone, before or after it had answered."""

MAX_FAILED_STARTS = 10
"""How many workers in a row may die before they have started."""


class WorkersDiedError(RunError):
    """Workers that cannot be set up, or a job whose worker died, or did not answer, every time.

    Of a job the message names client and round.
    """


class Team:
    """The workers that are not at work: those that could begin, and those that have not started yet.

    Work goes to workers that have started: one for which there is no room left, because its machine is gone,
    is not waited for while others work.
    """

    def __init__(self, make_worker: Callable[[], Any]) -> None:
        """make_worker(): the handle of a new actor. Its `started` says, once there is one, why it is of no
        use, or returns None.
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
        """Takes in a worker that has started, or asks for another in place of one that died before.

        Raises WorkersDiedError where it cannot be set up, and InputError where it is of no use.
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
    """What an exception in another process says: Ray puts its traceback first."""
    return [line.strip() for line in str(error).splitlines() if line.strip()][-1]
