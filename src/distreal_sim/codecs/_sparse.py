"""Some of the numbers of several arrays, which form one vector in the order of their names."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from distreal_sim.codecs import Arrays
from distreal_sim.codecs._changes import change

SLACK = 1e-9
"""Rounding error of a product that counts as whole, such as 0.07 * 100 = 7.000000000000001."""


def n_sent(share: float, n: int) -> int:
    """How many of n numbers travel: the share, rounded up."""
    return min(n, math.ceil(share * n - SLACK * n))


def vector(arrays: Arrays, known: Arrays, kept: Arrays) -> np.ndarray:
    """(n,) float32: the changes of all arrays, with what was kept of earlier ones."""
    parts = [change(name, arrays[name], known).ravel() for name in sorted(arrays)]
    added = [
        part + kept[name].ravel() if name in kept else part
        for name, part in zip(sorted(arrays), parts, strict=True)
    ]
    return np.concatenate(added) if added else np.zeros(0, np.float32)


def pieces(arrays: Arrays) -> Iterator[tuple[str, int, int]]:
    """(name, start, stop) of each array in the vector."""
    start = 0
    for name in sorted(arrays):
        yield name, start, start + arrays[name].size
        start += arrays[name].size


def left_over(numbers: np.ndarray, places: np.ndarray, arrays: Arrays) -> dict[str, np.ndarray]:
    """What did not travel, in the shapes of the arrays: the vector with 0 at the places that did."""
    left = numbers.copy()
    left[places] = 0.0
    return {name: left[a:b].reshape(arrays[name].shape) for name, a, b in pieces(arrays)}


def moved(known: Arrays, name: str, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What is known of an array, moved by values at these places of it."""
    flat = known[name].ravel().copy()
    flat[places] += values.astype(flat.dtype, copy=False)
    return flat.reshape(known[name].shape)
