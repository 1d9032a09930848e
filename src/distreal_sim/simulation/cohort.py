"""Cohorts: the clients that take part in a round."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment


def draw_cohort(
    n_clients: int, size: int, rng: np.random.Generator, available: Callable[[np.ndarray], np.ndarray]
) -> list[int]:
    """The first `size` available clients of a random sequence of all ids, sorted by id.

    available: (m,) ids -> (m,) bool. The sequence is a Fisher-Yates shuffle, computed only as far as it is
    read, so the cost does not grow with n_clients. Fewer than `size` ids are returned if not enough clients
    are available.
    """
    moved: dict[int, int] = {}
    chosen: list[int] = []
    walked = 0
    while len(chosen) < size and walked < n_clients:
        positions = np.arange(walked, min(walked + size - len(chosen), n_clients))
        walked += len(positions)
        candidates = []
        others = rng.integers(positions, n_clients).tolist()
        for position, other in zip(positions.tolist(), others, strict=True):
            candidates.append(moved.get(other, other))
            moved[other] = moved.pop(position, position)
        asked = np.array(candidates)
        chosen += asked[available(asked)].tolist()
    return sorted(chosen)


def select_cohort(
    experiment: Experiment,
    task: Task,
    number: int,
    start_s: float,
    size: int | None = None,
    busy: Collection[int] = (),
) -> list[int]:
    """The clients of a round or dispatch at start_s, absolute: the same for every method.

    A function of the seed, its number, who is busy and, where clients come and go, of its start. size: clients_per_round if not given; busy: clients that cannot be selected.
    """
    rng = Rngs(task.seed, (number,))("cohort")

    def idle(client_ids: np.ndarray) -> np.ndarray:
        there = task.devices.available(client_ids, number, start_s)
        return there & ~np.isin(client_ids, list(busy)) if busy else there

    n = experiment.clients_per_round if size is None else size
    return draw_cohort(len(task.split), n, rng, idle)
