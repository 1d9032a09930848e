"""The worth of a dropout vector in a fleet: the marginal value of weak clients that train with it.

One round of the experiment's cohort from a snapshot: every client trains on its own examples, the weak share
of them with the vector, the others at full width, and the server averages as in a run. The score is the loss
of what the others alone are averaged to, minus that of what all are averaged to. So 0 is what leaving the
weak clients out achieves, and less is worse than that.

Our choices: one round, because what follows depends on the vector for every client; the same clients, batches
and weak clients for every vector; a client has its mini-batches whatever its number of examples, in passes
over them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Arrays, Facts, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.search.settings import Search, Stream
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts

KEPT_BYTES = 2**29
"""Most memory of a process for the strong clients' updates."""


class Trainer(Protocol):
    """The part of `search.objective.Objective` that a fleet needs."""

    @property
    def search(self) -> Search:
        """The settings."""
        ...

    @property
    def task(self) -> Task:
        """Network, data and clients."""
        ...

    @property
    def snapshots(self) -> tuple[Arrays, ...]:
        """The parameters from which a round starts."""
        ...

    def short_training(
        self, counts: Counts, batches: Sequence[np.ndarray], rngs: Rngs, stream: Stream
    ) -> Iterator[Mask | None]:
        """Trains the loaded parameters; yields after every step."""
        ...

    def loss(self) -> float:
        """Validation loss of the loaded parameters."""
        ...


def marginal_drops(
    objective: Trainer, counts: Counts, measured: Sequence[int], stream: Stream, snapshot: int, repeat: int
) -> list[float]:
    """By how much the weak clients lower the merged loss when each trains so many mini-batches, nats.

    measured: the numbers of mini-batches, growing; the other clients train all of them.
    """
    start = objective.snapshots[snapshot]
    rngs = Rngs(objective.search.seed, (snapshot, repeat))
    weak, strong = cohort(objective, rngs(f"{stream} cohort"))
    without, of_strong = by_strong(objective, strong, rngs, stream, snapshot, repeat)
    of_weak = [
        list(updates(objective, start, counts, measured, client, client_rngs(rngs, client), stream))
        for client in weak
    ]
    return [
        without - merged_loss(objective, start, [*of_strong, *after]) for after in zip(*of_weak, strict=True)
    ]


def by_strong(
    objective: Trainer, strong: Sequence[int], rngs: Rngs, stream: Stream, snapshot: int, repeat: int
) -> tuple[float, list[Update]]:
    """The strong clients' updates, and the loss of what they alone are averaged to.

    They are the same for every vector, and kept for the next one if those of all short trainings fit into
    KEPT_BYTES.
    """
    task, search = objective.task, objective.search
    kept = task.memo.setdefault("strong clients", {})
    key = (stream, snapshot, repeat)
    if key not in kept:
        start, full = objective.snapshots[snapshot], task.structure.full_counts()
        found = [
            update
            for client in strong
            for update in updates(
                objective, start, full, (search.steps,), client, client_rngs(rngs, client), stream
            )
        ]
        own = merged_loss(objective, start, found), found
        n_bytes = sum(array.nbytes for update in found for array in update.arrays.values())
        if n_bytes * len(objective.snapshots) * (search.repeats + search.reevaluation) > KEPT_BYTES:
            return own
        kept[key] = own
    result: tuple[float, list[Update]] = kept[key]
    return result


def client_rngs(rngs: Rngs, client: int) -> Rngs:
    """The generators of a client in a short training."""
    return Rngs(rngs.seed, (*rngs.key, client))


def cohort(objective: Trainer, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """The weak clients and the others, at least one of either, without repeats."""
    n = objective.search.cohort
    assert n is not None
    n_weak = min(n - 1, max(1, round(objective.search.weak * n)))
    drawn = rng.choice(len(objective.task.split), size=n, replace=False).tolist()
    return drawn[:n_weak], drawn[n_weak:]


def updates(
    objective: Trainer,
    start: Arrays,
    counts: Counts,
    measured: Sequence[int],
    client: int,
    rngs: Rngs,
    stream: Stream,
) -> Iterator[Update]:
    """A client's update after each of the measured numbers of mini-batches."""
    search, task = objective.search, objective.task
    examples = task.split[client]
    local = task.local.model_copy(
        update={"epochs": None, "steps": search.steps, "batch_size": search.batch_size}
    )
    sizes = batch_sizes(len(examples), local)
    batches = [examples[at] for at in batch_indices(sizes, len(examples), rngs(f"{stream} batches"))]
    masks: list[Mask | None] = []
    task.engine.load(start)
    for mask in objective.short_training(counts, batches, rngs, stream):
        masks.append(mask)
        if len(masks) in measured:
            yield update_of(objective, client, counts, masks, sizes)


def update_of(
    objective: Trainer, client: int, counts: Counts, masks: Sequence[Mask | None], sizes: Sequence[int]
) -> Update:
    """The update of the client whose parameters the engine holds."""
    structure, n_steps = objective.task.structure, len(masks)
    macs = [training_macs(structure, counts) * size for size in sizes[:n_steps]]
    facts = Facts(
        client_id=client,
        status="completed",
        n_examples=len(objective.task.split[client]),
        n_steps_planned=len(sizes),
        n_steps_done=n_steps,
        macs=sum(macs),
        sim_s=0.0,
        mean_keep_rate=math.nan,
        download_bytes=0,
        upload_bytes=0,
        train_loss=math.nan,
    )
    coverage = Coverage.of(structure, masks, sizes[:n_steps], macs)
    return Update(facts, objective.task.engine.export(), coverage)


def merged_loss(objective: Trainer, start: Arrays, of_clients: Iterable[Update]) -> float:
    """The validation loss of the average."""
    task = objective.task
    task.engine.load(weighted_average(task.structure, start, iter(of_clients), task.merge.weighs_by))
    return objective.loss()
