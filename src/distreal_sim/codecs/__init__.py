"""Codecs: what an update travels as, and how many bytes it takes; one plug-in a file.

A client encodes the update that it sends and the server decodes it before the merge. How many bytes that
takes follows from the sizes of the arrays alone, for a round is timed before it is computed. The model that
goes out to the clients is `plain`. How the arrays of a codec cross processes is the grids' affair.
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
    """Compressor of updates, with an exact number of bytes. It may lose precision, and keep a state a client.

    known: what the client started from, which both sides have.
    """

    package: ClassVar[str] = "distreal_sim.codecs"
    label: ClassVar[str] = "codec"

    @abstractmethod
    def encode(self, arrays: Arrays, known: Arrays, kept: Arrays) -> tuple[Arrays, Arrays]:
        """(what travels in place of the arrays, what the client keeps for its next update).

        kept: what it kept from its last update, empty before the first one, such as the error of a lossy
        codec. arrays: some of those in `known`, at full width. It must not change any of them.
        """

    @abstractmethod
    def decode(self, encoded: Arrays, known: Arrays) -> Arrays:
        """The arrays that the server merges, with the names, shapes and types of those that were encoded."""

    @abstractmethod
    def n_bytes(self, sizes: Iterable[int]) -> int:
        """Bytes of an update of arrays of so many numbers each; of a sub-network, those that it holds."""

    def coverage_bytes(self, n_bits: Bits) -> Bits:
        """Bytes that say which of so many channels were kept, in all steps together: a bit each."""
        return (n_bits + 7) // 8
