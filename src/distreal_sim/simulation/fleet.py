"""The interface between the rounds and the clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.submodels.submodel import SubModel


class Fleet(Protocol):
    """The clients of a run, in this process or elsewhere.

    Arrays for many clients are published first; unpublished arrays are published for the one call.
    """

    def publish(self, arrays: Arrays) -> Arrays:
        """The same arrays, read-only and encoded once for all clients.

        Published arrays are returned unchanged.
        """
        ...

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """Sends the jobs and yields one update per job, in the order of the jobs."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Begins jobs whose results are needed later, in this order of need.

        A client has at most one job whose result was not taken yet.
        """
        ...

    def result(self, job: Job) -> Update:
        """The update of a submitted job; from then on the client has the memory that it kept from it."""
        ...

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """Gives up submitted jobs: the clients' memory is as it was before them."""
        ...

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], part: SubModel | None = None
    ) -> Arrays:
        """Batch-norm statistics of a model for testing, re-estimated on batches of these clients.

        part: the part of the network that they are for; None: the whole network.
        """
        ...

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, part: SubModel | None = None
    ) -> Mapping[str, np.ndarray]:
        """The statistics of the scores (`Scoring.join`) on the test set, joined over fixed shards.

        part: see `statistics`.
        """
        ...

    def evaluate_clients(
        self, arrays: Arrays, statistics: Arrays, round_number: int
    ) -> Mapping[int, Mapping[str, float]]:
        """The scores of each tested client on its own test examples; statistics: of the whole network."""
        ...

    def contexts(self) -> dict[int, bytes]:
        """The clients' memory between rounds, by client id, for the checkpoint."""
        ...

    def restore(self, contexts: dict[int, bytes]) -> None:
        """Restores the clients' memory from a checkpoint."""
        ...
