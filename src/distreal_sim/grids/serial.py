"""The clients one after another in this process, without messages or encoding."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from distreal_sim.base.errors import ClientFailedError
from distreal_sim.client.client import do
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.simulation import evaluation
from distreal_sim.simulation.client_scores import client_shard, client_shards, scores_of
from distreal_sim.submodels.submodel import SubModel


class SerialFleet:
    """Clients that train in this process, each when its update is asked for."""

    def __init__(self, task: Task, method: Method) -> None:
        self._task, self._method = task, method
        self._memories: dict[int, Arrays] = {}

    def publish(self, arrays: Arrays) -> Arrays:
        """Read-only views, because all clients share them; the same arrays where they are read-only."""
        if all(isinstance(array, np.ndarray) and not array.flags.writeable for array in arrays.values()):
            return arrays
        return _frozen({name: np.asarray(array).view() for name, array in arrays.items()})

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """One update per job, in the order of the jobs."""
        return map(self._answer, jobs)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Nothing yet: a job is done when its result is asked for."""

    def result(self, job: Job) -> Update:
        """See `Fleet.result`."""
        return self._answer(job)

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """Nothing: the jobs were not begun."""

    def _answer(self, job: Job) -> Update:
        try:
            update = do(self._task, self._method, self._lent(job))
        except Exception as error:
            raise _failure(f"client {job.client_id}, round {job.round.number}", "training", error) from error
        if update.memory is not None:
            self._memories[job.client_id] = _frozen({k: np.array(v) for k, v in update.memory.items()})
        return update

    def _lent(self, job: Job) -> Job:
        """The job with its arrays read-only and its client's memory."""
        arrays, memory = self.publish(job.arrays), self._memories.get(job.client_id, {})
        if arrays is job.arrays and not memory and not job.memory:
            return job
        return replace(job, arrays=arrays, memory=memory)

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], part: SubModel | None = None
    ) -> Arrays:
        """See `Fleet.statistics`."""
        shards = evaluation.statistics_shards(self._task, client_ids)
        lent = self.publish(arrays)
        try:
            return evaluation.join_statistics(
                [evaluation.statistics_shard(self._task, lent, round_number, *s, part) for s in shards]
            )
        except Exception as error:
            raise _failure(f"round {round_number}", "estimating batch-norm statistics", error) from error

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, part: SubModel | None = None
    ) -> dict[str, np.ndarray]:
        """See `Fleet.evaluate`."""
        task, lent = self._task, self.publish(arrays)
        shards = pairwise(evaluation.test_shards(task))
        try:
            results = [evaluation.test_shard(task, lent, statistics, *shard, part) for shard in shards]
        except Exception as error:
            raise _failure(f"round {round_number}", "testing", error) from error
        return task.scoring.join(results)

    def evaluate_clients(
        self, arrays: Arrays, statistics: Arrays, round_number: int
    ) -> dict[int, dict[str, float]]:
        """See `Fleet.evaluate_clients`."""
        task, lent = self._task, self.publish(arrays)
        try:
            shards = [client_shard(task, lent, statistics, shard) for shard in client_shards(task)]
        except Exception as error:
            raise _failure(f"round {round_number}", "testing the clients", error) from error
        return scores_of(task, shards)

    def contexts(self) -> dict[int, bytes]:
        """The clients' memory between rounds, by client id, in the grids' checkpoint format."""
        if not self._memories:
            return {}
        from distreal_sim.grids.flower.messages import encode_memory  # importing Flower takes half a second

        return {c: encode_memory(kept) for c, kept in sorted(self._memories.items())}

    def restore(self, contexts: dict[int, bytes]) -> None:
        """Restores the clients' memory from a checkpoint."""
        if contexts:
            from distreal_sim.grids.flower.messages import decode_memory

            self._memories = {c: decode_memory(kept) for c, kept in contexts.items()}


def _frozen(arrays: Mapping[str, np.ndarray]) -> Arrays:
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _failure(where: str, stage: str, error: Exception) -> ClientFailedError:
    return ClientFailedError(
        f"{where}, while {stage}: {type(error).__name__}: {error}", traceback.format_exc()
    )
