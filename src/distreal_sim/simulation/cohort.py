"""Cohorts: the clients that take part in a round, or start together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Arrays
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.server.selection import Gradients, Losses, Pool, no_gradients, no_losses


def select_cohort(
    experiment: Experiment,
    task: Task,
    number: int,
    start_s: float = 0.0,
    memory: Arrays | None = None,
    size: int | None = None,
    busy: Collection[int] = (),
    losses: Losses = no_losses,
    gradients: Gradients = no_gradients,
) -> tuple[list[int], Arrays]:
    """(the clients of a round or dispatch, the selection's memory after it).

    A function of the seed, the number, the time, the memory and who is busy; with selection `uniform` the
    same for every method. number: of the round or dispatch; start_s: absolute simulated time; memory: of the
    selection, none at first; size: clients_per_round if not given; busy: clients that cannot be selected;
    losses, gradients: how clients are asked for them.
    Raises InputError where a selection gives others than clients that can start.
    """
    devices = task.devices

    def there(client_ids: np.ndarray) -> np.ndarray:
        idle = devices.available(client_ids, number, start_s)
        return idle & ~np.isin(client_ids, list(busy)) if busy else idle

    n = experiment.clients_per_round if size is None else size
    pool = Pool(
        number,
        n,
        task.split.sizes,
        task.deadline_s,
        there,
        lambda client_ids: devices.available(client_ids, number + 1, start_s + task.deadline_s),
        partial(expected_s, task, start_s),
        Rngs(task.seed, (number,)),
        losses,
        gradients,
    )
    selection = experiment.selection
    if "." not in selection.name:  # one of ours
        chosen, memory = selection.select(pool, memory or {})
        return sorted(chosen), memory
    with naming(f"selection {selection.name}"):
        chosen, memory = selection.select(pool, memory or {})
    return _checked(selection.name, chosen, pool), memory


def expected_s(task: Task, start_s: float, client_ids: np.ndarray) -> np.ndarray:
    """(m,) seconds that the planned work with the whole network takes at the capacity of start_s."""
    macs = task.charge_per_example(task.full)
    found = []
    for client_id in client_ids.tolist():
        work = macs * sum(batch_sizes(int(task.split.sizes[client_id]), task.local))
        macs_per_s = task.devices.capacity(client_id, start_s)(0.0)
        found.append(work / macs_per_s if macs_per_s else np.inf)
    return np.array(found, float)


def _checked(name: str, chosen: Sequence[int], pool: Pool) -> list[int]:
    ids = [int(client_id) for client_id in chosen]
    if len(set(ids)) < len(ids) or len(ids) > pool.size:
        raise InputError(f"selection {name} must give at most {pool.size} different clients, not {ids}")
    if ids and not (min(ids) >= 0 and max(ids) < pool.n_clients and bool(pool.there(np.array(ids)).all())):
        raise InputError(
            f"selection {name} must give clients that can start, of 0 to {pool.n_clients - 1}, not {ids}"
        )
    return sorted(ids)
