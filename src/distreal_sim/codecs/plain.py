"""Updates as they are: float32 numbers, and a bit for each step and channel that it may have kept."""

from __future__ import annotations

from collections.abc import Iterable

from distreal_sim.codecs import Arrays, Codec

BYTES_PER_NUMBER = 4


class Plain(Codec):
    """Nothing is compressed."""

    def encode(self, arrays: Arrays, known: Arrays, kept: Arrays) -> tuple[Arrays, Arrays]:
        return arrays, {}

    def decode(self, encoded: Arrays, known: Arrays) -> Arrays:
        return encoded

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return plain_bytes(sizes)


def plain_bytes(sizes: Iterable[int]) -> int:
    """Bytes of float32 arrays of so many numbers each."""
    return BYTES_PER_NUMBER * sum(sizes)
