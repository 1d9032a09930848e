"""Arrays as they are: float32 numbers, and a bit for each step and channel that it may have kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from distreal_sim.codecs import Arrays, Codec

BYTES_PER_NUMBER = 4


class Plain(Codec):
    """Nothing is compressed: 32 bits a number."""

    exact: ClassVar[bool] = True
    codes_models: ClassVar[bool] = True

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        return arrays, {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return encoded

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return plain_bytes(sizes)


def plain_bytes(sizes: Iterable[int]) -> int:
    """Bytes of float32 arrays of so many numbers each."""
    return BYTES_PER_NUMBER * sum(sizes)
