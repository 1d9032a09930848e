"""Tests of the global model, in shards that do not depend on the number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, cast

import numpy as np
from torch import Tensor, nn

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays
from distreal_sim.client.task import Task
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.engine.engine import Run
from distreal_sim.thinning.masks import Mask, first_mask
from distreal_sim.thinning.statistics import batch_statistics, mean_statistics, outputs_in_test

BATCHES_PER_SHARD = 2
"""Test batches per message."""

DRAWS_PER_SHARD = 5
"""Statistics batches per message."""


class Exits(Protocol):
    """A network with a classifier (exit) after several of its parts, numbered from 0; its own is the last."""

    def test(self, x: Tensor, last: int) -> Tensor:
        """Outputs of the network that ends with exit `last`."""
        ...


def test_shards(task: Task) -> list[int]:
    """Bounds of the shards of the test set."""
    return bounds_of(0, len(task.data.test), task.evaluation.batch_size * BATCHES_PER_SHARD)


def bounds_of(start: int, stop: int, step: int) -> list[int]:
    """Bounds of ranges of `step` examples; a single left-over example joins the range before it."""
    cuts = list(range(start, stop, step))
    if len(cuts) > 1 and stop - cuts[-1] == 1:
        cuts.pop()
    return [*cuts, stop]


def test_shard(
    task: Task,
    arrays: Arrays,
    statistics: Arrays,
    start: int,
    stop: int,
    part: SubModel | None = None,  # noqa: PT028  (not a pytest test)
) -> dict[str, np.ndarray]:
    """The statistics of the scores (`Scoring.join`) on a shard of the test set.

    statistics: batch-norm statistics; if empty, every test batch is normalised with its own. part: the tested
    part of the network; None: the whole network.
    """
    found = []
    mask, run = _part(task, part)
    task.engine.load(arrays)
    with Rngs(task.seed, (start,)).seeded_globals("testing"):
        for first, last in pairwise(bounds_of(start, stop, task.evaluation.batch_size)):
            x, y = task.batch(task.data.test, slice(first, last))
            outputs = outputs_in_test(task.engine, statistics, x, mask, run)
            found.append(task.scoring.statistics(outputs, y))
    return task.scoring.join(found)


def statistics_shards(task: Task, client_ids: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Batches over which statistics are averaged, in shards of (client ids, number of each draw).

    The clients take turns, one batch at a time, until there are `statistics_batches`. Empty where no
    statistics are needed.
    """
    if task.evaluation.batch_norm == "batch" or not task.engine.has_statistics:
        return []
    usable = [c for c in client_ids if len(task.split[c]) > 1]
    n_batches = task.evaluation.statistics_batches if usable else 0
    batches = [(usable[i % len(usable)], i // len(usable)) for i in range(n_batches)]
    shards = [batches[i : i + DRAWS_PER_SHARD] for i in range(0, len(batches), DRAWS_PER_SHARD)]
    return [([c for c, _ in shard], [d for _, d in shard]) for shard in shards]


def statistics_shard(
    task: Task,
    arrays: Arrays,
    round_number: int,
    client_ids: Sequence[int],
    draws: Sequence[int],
    part: SubModel | None = None,
) -> Arrays:
    """Sums of the statistics of a shard's batches, and the number of batches under `n`.

    A batch holds batch_size examples of its client, drawn without replacement, or all of them if there are
    fewer. part: see `test_shard`.
    """
    mask, _ = _part(task, part)
    task.engine.load(arrays)
    batches = []
    for client_id, draw in zip(client_ids, draws, strict=True):
        indices = task.split[client_id]
        rng = Rngs(task.seed, (round_number, client_id))("statistics", draw)
        chosen = rng.permutation(len(indices))[: max(2, task.local.batch_size)]
        batches.append(task.batch(task.data.train, indices[chosen])[0])
    with Rngs(task.seed, (round_number, client_ids[0], draws[0])).seeded_globals("statistics"):
        return {**batch_statistics(task.engine, batches, mask), "n": np.array(len(batches))}


def _part(task: Task, part: SubModel | None) -> tuple[Mask | None, Run | None]:
    """(mask, run function) of a part of the network; None in place of either: the network's own."""
    if part is None:
        return None, None
    mask = None if part.counts == task.full else first_mask(task.structure, part.counts)
    last = part.last_exit
    if last is None:
        return mask, None

    def run(module: nn.Module, x: Tensor) -> Tensor:
        return cast("Exits", module).test(x, last)

    return mask, run


def join_statistics(shards: Sequence[Arrays]) -> Arrays:
    """Mean statistics over all batches of all shards, added in the order given."""
    if not shards:
        return {}
    n = sum(int(shard["n"]) for shard in shards)
    names = [name for name in shards[0] if name != "n"]
    return mean_statistics({name: np.sum([shard[name] for shard in shards], axis=0) for name in names}, n)
