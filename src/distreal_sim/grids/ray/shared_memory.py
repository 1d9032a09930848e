"""Memory that a driver shares with the workers of its machine, in which they leave their replies.

Ray's object store would do the same for any machine, but takes a reply through several processes and hands
out fresh pages for each. Here a worker encodes the arrays of its reply in a slot that has been used before,
and the driver reads them where they lie; the slot is free again when nobody holds a view of it any more.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from distreal_sim.grids.npy import address

NAME = "distreal-sim"
TOKEN_BYTES = 16
ALIGNMENT = 64


@dataclass(frozen=True)
class Address:
    """Where another process of this machine finds an arena."""

    pid: int
    fd: int
    token: bytes


@dataclass(frozen=True)
class Slot:
    """A stretch of an arena, in bytes; both are multiples of the page size."""

    start: int
    size: int


@dataclass(frozen=True)
class Packed:
    """An object whose arrays lie in a slot: the rest of it, pickled, and their (start, size) there.

    An array for which there was no room stands among the pieces itself.
    """

    head: bytes
    pieces: list[tuple[int, int] | np.ndarray]


class Arena:
    """The driver's side. Linux only: elsewhere it has no address, and no slots.

    slots: how many may be in use at a time.
    """

    def __init__(self, slots: int) -> None:
        self._n_left = slots
        self._free: list[Slot] = []
        self._memory: dict[Slot, mmap.mmap] = {}  # each holds a file descriptor
        self._dropped: list[mmap.mmap] = []
        self.address: Address | None = None
        try:
            self._fd = os.memfd_create(NAME)
        except (AttributeError, OSError):  # another system, or nothing left
            return
        weakref.finalize(self, os.close, self._fd)
        token = secrets.token_bytes(TOKEN_BYTES)
        os.write(self._fd, token)
        self._end = mmap.PAGESIZE
        self.address = Address(os.getpid(), self._fd, token)

    def take(self, size: int) -> Slot | None:
        """A slot of at least that size for one reply; None if too many are in use, or no memory is left."""
        if self.address is None:
            return None
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        for index in reversed(range(len(self._free))):  # the last one used: still in caches
            if self._free[index].size >= size:
                return self._free.pop(index)
        if self._free:  # too small, since the messages grew
            self.drop(self._free.pop())
        if not self._n_left:
            return None
        slot = Slot(self._end, size)
        try:
            os.ftruncate(self._fd, slot.start + size)
            self._memory[slot] = mmap.mmap(self._fd, size, offset=slot.start)
        except OSError:
            return None
        self._end += size
        self._n_left -= 1
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot may be used again: nobody writes to it any more, and nobody reads it."""
        self._free.append(slot)

    def drop(self, slot: Slot) -> None:
        """The slot is never used again, for a worker that is lost may still write to it."""
        self._dropped.append(self._memory.pop(slot))
        for memory in self._dropped:  # again those that were written to after they had been given back
            memory.madvise(mmap.MADV_REMOVE)
        self._n_left += 1

    def unpack(self, packed: Packed, slot: Slot) -> Any:
        """The object. Its arrays are views of the slot, which is given back when the last of them is gone."""
        whole = np.frombuffer(self._memory[slot], np.uint8)
        whole.flags.writeable = False
        weakref.finalize(whole, self.give_back, slot).atexit = False
        pieces = [
            piece if isinstance(piece, np.ndarray) else whole[piece[0] : sum(piece)]
            for piece in packed.pieces
        ]
        return pickle.loads(packed.head, buffers=pieces)


class Annex:
    """A worker's side of an arena."""

    def __init__(self, address: Address) -> None:
        path = f"/proc/{address.pid}/fd/{address.fd}"
        if not os.readlink(path).startswith(f"/memfd:{NAME}"):  # on another machine that may be anything
            raise FileNotFoundError(f"{path} is no arena")
        self._fd = os.open(path, os.O_RDWR)
        weakref.finalize(self, os.close, self._fd)
        self._memory: dict[Slot, np.ndarray] = {}
        if os.read(self._fd, TOKEN_BYTES) != address.token:
            raise FileNotFoundError(f"{path} is another arena")

    def sheet(self, slot: Slot) -> Sheet | None:
        """The slot, to be filled; None where this process may have no more memory."""
        if slot not in self._memory:
            try:
                memory = mmap.mmap(self._fd, slot.size, offset=slot.start)
            except OSError:
                return None
            self._memory[slot] = np.frombuffer(memory, np.uint8)
        return Sheet(self._memory[slot])


class Sheet:
    """The memory of a slot while a reply is written into it."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._end = 0

    def allocate(self, n: int) -> np.ndarray:
        """(n,) uint8 in the slot, or elsewhere where it does not fit."""
        if self._end + n > len(self._memory):
            return np.empty(n, np.uint8)
        start = self._end
        self._end = -(-(start + n) // ALIGNMENT) * ALIGNMENT
        return self._memory[start : start + n]

    def pack(self, value: Any) -> Packed:
        """The object with its arrays in the slot, as far as there is room."""
        pieces: list[tuple[int, int] | np.ndarray] = []

        def place(buffer: pickle.PickleBuffer) -> None:
            data = np.frombuffer(buffer.raw(), np.uint8)
            if not self._holds(data):
                copy = self.allocate(len(data))
                if self._holds(copy):
                    copy[:] = data
                    data = copy
            start = address(data) - address(self._memory)
            pieces.append((start, len(data)) if self._holds(data) else data)

        return Packed(pickle.dumps(value, protocol=5, buffer_callback=place), pieces)

    def _holds(self, data: np.ndarray) -> bool:
        return 0 <= address(data) - address(self._memory) <= len(self._memory) - len(data)


def open_annex(address: Address | None) -> Annex | None:
    """A worker's side of an arena; None in a process that has no access to it."""
    try:
        return None if address is None else Annex(address)
    except OSError:
        return None
