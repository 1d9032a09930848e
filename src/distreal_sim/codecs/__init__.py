"""Codecs: what an update or a model travels as, and how many bytes it takes; one plug-in a file.

The sender encodes and the receiver decodes, so that what is trained and merged is what came through. How many
bytes that takes follows from the numbers that travel alone, for a round is timed before it is computed. How
the arrays of a codec cross processes is the grids' affair.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeVar

import numpy as np

from distreal_sim.base.plugins import Plugin

Arrays = Mapping[str, np.ndarray]
"""Arrays by name."""

Bits = TypeVar("Bits", int, np.ndarray)


class Codec(Plugin):
    """Compressor of updates or models, with an exact number of bytes. It may lose precision, and keep a state
    a client.

    Of a sub-network a codec sees the part that travels, as arrays of its width. known: what both sides have,
    with the names, shapes and types of the arrays: the model from which the client started. Nothing is known
    of a model on its way to the clients, so that `known` then is empty. rng: a generator of this client and
    round, which stands at the same place when it is encoded and when it is decoded.
    exact: whether decoding gives back every bit. codes_models: whether it can encode without `known`.
    """

    package: ClassVar[str] = "distreal_sim.codecs"
    label: ClassVar[str] = "codec"

    exact: ClassVar[bool] = False
    codes_models: ClassVar[bool] = False

    @abstractmethod
    def encode(
        self, arrays: Arrays, known: Arrays, kept: Arrays, rng: np.random.Generator
    ) -> tuple[Arrays, Arrays]:
        """(what travels in place of the arrays, what the client keeps for its next update).

        kept: what it kept so far, such as the error of a lossy codec; an array under the name of one that
        travels has its shape, and holds zeros where nothing was kept. It must not change any of them.
        """

    @abstractmethod
    def decode(self, encoded: Arrays, known: Arrays, rng: np.random.Generator) -> Arrays:
        """The arrays that the receiver gets, with the names, shapes and types of those that were encoded."""

    @abstractmethod
    def n_bytes(self, sizes: Iterable[int]) -> int:
        """Bytes of arrays of so many numbers each; of a sub-network, those that it holds."""

    def coverage_bytes(self, n_bits: Bits) -> Bits:
        """Bytes that say which of so many channels were kept, in all steps together: a bit each."""
        return (n_bits + 7) // 8
