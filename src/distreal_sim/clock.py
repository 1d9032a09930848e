"""The simulated clock alone: rounds are planned and timed, and nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from distreal_sim.methods import Method
from distreal_sim.rng import Rngs
from distreal_sim.task import Task
from distreal_sim.types import Arrays, Counts, Job, Update


class TimedFleet:
    """Clients whose jobs are timed in this process; their updates hold no arrays. task.computes is False."""

    def __init__(self, task: Task, method: Method) -> None:
        assert not task.computes
        self._task, self._method = task, method
        self._memories: dict[int, Arrays] = {}

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """One update per job, in the order of the jobs."""
        task = self._task
        for job in jobs:
            known = replace(job, memory=self._memories.get(job.client_id, {}))
            rngs = Rngs(task.seed, (job.round_number, job.client_id))
            update = self._method.train(task, known, task.capacity(job.client_id, job.start_s), rngs)
            if update.memory is not None:
                self._memories[job.client_id] = update.memory
            yield update

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], counts: Counts | None = None
    ) -> Arrays:
        """There is nothing to test."""
        return {}

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, counts: Counts | None = None
    ) -> tuple[float, float]:
        """Never asked: a model that was not trained is not tested."""
        raise NotImplementedError

    def contexts(self) -> dict[int, bytes]:
        """Nothing: a timed run is not resumed but repeated."""
        return {}

    def restore(self, contexts: dict[int, bytes]) -> None:
        """There is nothing to restore."""
