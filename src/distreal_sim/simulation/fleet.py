"""The clients, as the rounds see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.submodels.submodel import SubModel


class Fleet(Protocol):
    """The clients, wherever they run.

    Arrays that go out to many of them are published first; others may be given as well, and are published
    for that call.
    """

    def publish(self, arrays: Arrays) -> Arrays:
        """The same arrays, read-only, in the form in which they go out to the clients: encoded once.

        Published ones come back as they are.
        """
        ...

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """Sends the jobs and yields one update per job, in the order of the jobs."""
        ...

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], part: SubModel | None = None
    ) -> Arrays:
        """Batch-norm statistics of a model for testing, re-estimated on batches of these clients.

        part: of which part of the network; None: of the whole.
        """
        ...

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, part: SubModel | None = None
    ) -> tuple[float, float]:
        """(mean loss, accuracy) on the test set; part: see `statistics`."""
        ...

    def contexts(self) -> dict[int, bytes]:
        """What the clients keep between rounds, by client id, for the checkpoint."""
        ...

    def restore(self, contexts: dict[int, bytes]) -> None:
        """Goes back to what the clients kept at a checkpoint."""
        ...
