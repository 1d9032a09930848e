"""Which clients take part in a round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def draw_cohort(
    n_clients: int, size: int, rng: np.random.Generator, available: Callable[[np.ndarray], np.ndarray]
) -> list[int]:
    """The first `size` available clients of a random sequence of all ids, sorted by id.

    available: (m,) ids -> (m,) bool. The sequence is a Fisher-Yates shuffle of which only the walked part
    exists, so the cost does not grow with n_clients; fewer than `size` ids come back when not enough clients
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


def select_cohort(experiment: Experiment, task: Task, round_number: int) -> list[int]:
    """The clients of a round: a function of seed and round, the same for every method."""

    availability, seed = experiment.availability, experiment.seed
    many = answers_for(availability, "available_many", "available")

    def rngs(purpose: str, *key: np.ndarray | int) -> Streams:
        return streams(seed, f"availability {purpose}", *key)

    def one(client_id: int) -> bool:
        rng = Rngs(seed, (client_id,))
        return availability.available(
            client_id, round_number, lambda purpose, *key: rng(f"availability {purpose}", *key)
        )

    def available(client_ids: np.ndarray) -> np.ndarray:
        there = availability.available_many(client_ids, round_number, rngs) if many else None
        return np.array([one(c) for c in client_ids.tolist()], bool) if there is None else there

    rng = Rngs(experiment.seed, (round_number,))("cohort")
    return draw_cohort(len(task.split), experiment.clients_per_round, rng, available)
