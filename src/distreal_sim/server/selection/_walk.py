"""Walks along the clients that ask each of them once whether it can start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from distreal_sim.server.selection import Ask


def draw(n_clients: int, size: int, rng: np.random.Generator, there: Ask) -> list[int]:
    """The first `size` clients that can start of a random sequence of all ids, sorted by id.

    The sequence is a Fisher-Yates shuffle, computed only as far as it is read, so the cost does not grow with
    n_clients. Fewer than `size` ids are returned if not enough clients can start.
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
        chosen += asked[there(asked)].tolist()
    return sorted(chosen)


def first(order: Iterable[int], size: int, there: Ask) -> list[int]:
    """The first `size` clients of a given order that can start, in this order."""
    chosen: list[int] = []
    left = iter(order)
    while len(chosen) < size:
        asked = np.array(list(islice(left, size - len(chosen))), np.int64)
        if not len(asked):
            break
        chosen += asked[there(asked)].tolist()
    return chosen


def draw_by_weight(weights: np.ndarray, rng: np.random.Generator) -> Sequence[int]:
    """All indices in a random order without replacement, drawn one by one by their (n,) weights.

    Efraimidis and Spirakis: Weighted random sampling with a reservoir. Inf. Process. Lett. 97, 2006. Indices
    of weight 0 are left out.
    """
    positive = np.flatnonzero(weights > 0)
    keys = rng.exponential(size=len(weights))[positive] / weights[positive]
    order: list[int] = positive[np.argsort(keys, kind="stable")].tolist()
    return order
