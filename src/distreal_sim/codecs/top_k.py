"""The changes of largest magnitude, with error feedback.

A. F. Aji, K. Heafield. Sparse Communication for Distributed Gradient Descent. EMNLP 2017.
S. U. Stich, J.-B. Cordonnier, M. Jaggi. Sparsified SGD with Memory. NeurIPS 2018 (the feedback).

Differs from the papers: they code gradients, here it is the change of a whole local training; what is kept of
a coordinate waits while its client trains a sub-network without it. (our choice)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs._sparse import left_over, moved, n_sent, pieces, vector

PLACES = ":places"
"""Suffix of the array that holds the places of another's values."""


class TopK(Codec):
    """The share of the changes with the largest magnitudes, of all arrays together: 32 bits a value, and as
    many as its place among n numbers takes, ceil(log2 n).
    """

    share: float = Field(0.1, gt=0, le=1, description="share of the numbers that travel, rounded up")
    feedback: bool = Field(
        True, description="a client keeps what it did not send, and adds it to its next change"
    )

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        numbers = vector(arrays, known, kept if self.feedback else {})
        places = largest(numbers, n_sent(self.share, len(numbers)))
        encoded = {}
        for name, start, stop in pieces(arrays):
            own = places[slice(*np.searchsorted(places, (start, stop)))]
            encoded[name], encoded[name + PLACES] = numbers[own], (own - start).astype(np.int32)
        return encoded, left_over(numbers, places, arrays) if self.feedback else {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return {
            name: moved(known, name, encoded[name + PLACES], values)
            for name, values in encoded.items()
            if not name.endswith(PLACES)
        }

    def n_bytes(self, sizes: Iterable[int]) -> int:
        n = sum(sizes)
        return (n_sent(self.share, n) * (32 + max(n - 1, 0).bit_length()) + 7) // 8


def largest(numbers: np.ndarray, n: int) -> np.ndarray:
    """(n,) ascending places of the numbers of largest magnitude; of equal ones those that come first."""
    size = np.abs(numbers)
    if n == len(size):
        return np.arange(n)
    least = np.partition(size, len(size) - n)[len(size) - n]
    above = np.flatnonzero(size > least)
    equal = np.flatnonzero(size == least)[: n - len(above)]
    return np.sort(np.concatenate([above, equal]))
