"""Arithmetic that the partitions share: checks, sizes, and the step from owners to a Split."""

from __future__ import annotations

from typing import Literal

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions import Split

Sizes = Literal["equal", "lognormal"]


def check_n_clients(n_examples: int, n_clients: int | None, name: str, min_examples: int = 1) -> int:
    """n_clients, once it is known that n_examples can give each client min_examples; else InputError."""
    n = check_given(n_clients, name)
    if n * min_examples > n_examples:
        raise InputError(
            f"partition {name} cannot give each of {n} clients at least {min_examples} of {n_examples} "
            f"training examples; n_clients can be at most {n_examples // min_examples}, or more with "
            "partition bootstrap, whose clients share examples"
        )
    return n


def check_given(n_clients: int | None, name: str) -> int:
    """n_clients, once it is known to be a number of clients; else InputError."""
    if n_clients is None:
        raise InputError(f"partition {name} needs n_clients (only by_writer and indices can do without)")
    if n_clients < 1:
        raise InputError(f"n_clients ({n_clients}) must be at least 1")
    return n_clients


def draw_sizes(
    n_examples: int, n_clients: int, sizes: Sizes, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    """(n_clients,) int64, each at least 1, adding up to n_examples.

    equal: they differ by one at most, the larger first. lognormal: one each, the rest in proportion to
    exp(sigma z), z standard normal. Needs n_clients <= n_examples.
    """
    if sizes == "equal":
        return n_examples // n_clients + (np.arange(n_clients) < n_examples % n_clients).astype(np.int64)
    weights = np.exp(sigma * rng.standard_normal(n_clients))
    return 1 + apportion(n_examples - n_clients, weights)


def sizes_remedy(sizes: Sizes) -> str:
    """A change of the config that makes the smallest client of `draw_sizes` larger."""
    if sizes == "equal":
        return "lower n_clients"
    return "set partition.sizes=equal, or lower partition.sigma or n_clients"


def apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """weights: (n,) >= 0, not all zero -> (n,) int64 adding up to total, by largest remainder."""
    exact = total * (weights / weights.sum())
    counts: np.ndarray = np.floor(exact).astype(np.int64)
    left = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts


def by_size(order: np.ndarray, sizes: np.ndarray) -> Split:
    """The Split that deals `order` out in runs of these sizes."""
    return Split(order.astype(np.int64, copy=False), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def by_owner(owner: np.ndarray, n_clients: int) -> Split:
    """owner: (N,) client of each example -> the Split, each client's examples in ascending order."""
    return by_size(np.argsort(owner, kind="stable"), np.bincount(owner, minlength=n_clients))
