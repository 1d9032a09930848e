"""Which clients take part in a round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def draw_cohort(
    n_clients: int, size: int, rng: np.random.Generator, available: Callable[[int], bool]
) -> list[int]:
    """The first `size` available clients of a random sequence of all ids, sorted by id.

    The sequence is a Fisher-Yates shuffle of which only the walked part exists, so the cost does not grow
    with n_clients; fewer than `size` ids come back when not enough clients are available.
    """
    moved: dict[int, int] = {}
    chosen: list[int] = []
    for position in range(n_clients):
        if len(chosen) == size:
            break
        other = int(rng.integers(position, n_clients))
        client_id = moved.get(other, other)
        moved[other] = moved.pop(position, position)
        if available(client_id):
            chosen.append(client_id)
    return sorted(chosen)
