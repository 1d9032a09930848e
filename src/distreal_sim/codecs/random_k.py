"""Changes at random places, which the server draws again, with or without error feedback.

J. Konecny, H. B. McMahan, F. X. Yu, P. Richtarik, A. T. Suresh, D. Bacon. Federated Learning: Strategies for
Improving Communication Efficiency. 2016 (random masks).
S. U. Stich, J.-B. Cordonnier, M. Jaggi. Sparsified SGD with Memory. NeurIPS 2018 (the feedback).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs._sparse import left_over, moved, n_sent, pieces, vector


class RandomK(Codec):
    """Changes at random places, drawn for each client and round: 32 bits a value, none for its place, which
    follows from the seed. Without feedback k of n values travel times n / k, so that the mean is exact.
    """

    share: float = Field(0.1, gt=0, le=1, description="share of the numbers that travel, rounded up")
    feedback: bool = Field(
        False, description="a client keeps what it did not send, and adds it to its next change"
    )

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        numbers = vector(arrays, known, kept if self.feedback else {})
        places = self._places(len(numbers), rng)
        scale = np.float32(1 if self.feedback else len(numbers) / max(len(places), 1))
        encoded = {}
        for name, start, stop in pieces(arrays):
            own = places[slice(*np.searchsorted(places, (start, stop)))]
            encoded[name] = numbers[own] * scale
        return encoded, left_over(numbers, places, arrays) if self.feedback else {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        own = {name: known[name] for name in encoded}
        places = self._places(sum(array.size for array in own.values()), rng)
        decoded = {}
        for name, start, stop in pieces(own):
            here = places[slice(*np.searchsorted(places, (start, stop)))] - start
            decoded[name] = moved(known, name, here, encoded[name])
        return decoded

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return 4 * n_sent(self.share, sum(sizes))

    def _places(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(k,) ascending places among n numbers."""
        return np.sort(rng.choice(n, n_sent(self.share, n), replace=False))
