"""Stochastic rounding to 255 equally spaced values.

D. Alistarh, D. Grubic, J. Li, R. Tomioka, M. Vojnovic. QSGD: Communication-Efficient SGD via Gradient
Quantization and Encoding. NeurIPS 2017.

Differs from the paper: the values are spaced by the largest magnitude of an array instead of its norm (the
infinity norm in the paper's own experiments), and all numbers take 8 bits, without an entropy code.
(our choice)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from distreal_sim.codecs import Arrays, Codec
from distreal_sim.codecs._changes import change, changed

STEPS = 127
"""Steps from 0 to the largest magnitude."""

STEP = ":step"
"""Suffix of the array that holds the step of another."""


class Int8(Codec):
    """8 bits a number and 32 an array: whole multiples of its largest magnitude / 127, rounded up or down at
    random so that the mean is exact; of an update the changes.
    """

    codes_models: ClassVar[bool] = True

    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        encoded: dict[str, np.ndarray] = {}
        for name in sorted(arrays):
            moved = change(name, arrays[name], known)
            step = np.float32(np.abs(moved).max(initial=0.0) / STEPS)
            scaled = moved / step if step else np.zeros_like(moved)
            rounded = np.floor(scaled + rng.random(moved.shape, np.float32))
            encoded[name] = np.clip(rounded, -STEPS, STEPS).astype(np.int8)
            encoded[name + STEP] = np.array([step], np.float32)
        return encoded, {}

    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        return {
            name: changed(name, own.astype(np.float32) * encoded[name + STEP][0], known)
            for name, own in encoded.items()
            if not name.endswith(STEP)
        }

    def n_bytes(self, sizes: Iterable[int]) -> int:
        return sum(size + 4 for size in sizes)
