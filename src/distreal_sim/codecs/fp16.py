"""IEEE 754 half precision: 11 significant bits, numbers up to 65504."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs._changes import change, changed

LARGEST = float(np.finfo(np.float16).max)


class Fp16(Codec):
    """Half precision, 16 bits a number: of an update the changes, rounded to the nearest; larger than 65504:
    65504.
    """

    codes_models: ClassVar[bool] = True

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        encoded = {
            name: np.clip(change(name, array, known), -LARGEST, LARGEST).astype(np.float16)
            for name, array in arrays.items()
        }
        return encoded, {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return {name: changed(name, own.astype(np.float32), known) for name, own in encoded.items()}

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return 2 * sum(sizes)
