"""bfloat16: the upper half of a float32, 8 significant bits and its whole range.

Round to nearest, ties to even: what is added to the 32 bits makes the lower half carry where it should.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs._changes import change, changed


class Bf16(Codec):
    """bfloat16, 16 bits a number: of an update the changes, rounded to the nearest."""

    codes_models: ClassVar[bool] = True

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        return {name: to_bf16(change(name, array, known)) for name, array in arrays.items()}, {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return {name: changed(name, from_bf16(own), known) for name, own in encoded.items()}

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return 2 * sum(sizes)


def to_bf16(numbers: np.ndarray) -> np.ndarray:
    """Finite float32 numbers as the 16 bits of the nearest bfloat16, uint16 of the same shape."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    odd = bits >> np.uint32(16) & np.uint32(1)
    upper: np.ndarray = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    return upper.reshape(numbers.shape)


def from_bf16(upper: np.ndarray) -> np.ndarray:
    """The float32 numbers of these bits."""
    return (upper.astype(np.uint32) << np.uint32(16)).view(np.float32)
