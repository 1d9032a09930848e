"""Memory shared by a driver and the workers of its machine, for their replies.

Ray's object store would work for any machine, but passes a reply through several processes and allocates new
pages for each. Here a worker encodes the arrays of its reply in a slot whose pages are reused, and the driver
reads them in place; the slot is free again when no view of it is left.
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
    """Address of an arena for other processes on this machine."""

    pid: int
    fd: int
    token: bytes


@dataclass(frozen=True)
class Slot:
    """A region of an arena, in bytes; start and size are multiples of the page size."""

    start: int
    size: int


@dataclass(frozen=True)
class Packed:
    """An object whose arrays lie in a slot.

    head: the pickled object without its arrays; pieces: (start, size) of each array in the slot, or the array
    itself where there was no room.
    """

    head: bytes
    pieces: list[tuple[int, int] | np.ndarray]


class Arena:
    """The driver's side of the shared memory. Linux only: elsewhere it has no address and no slots.

    slots: number of slots that may be in use at a time.
    """

    def __init__(self, slots: int) -> None:
        self._n_left = slots
        self._free: list[Slot] = []
        self._memory: dict[Slot, mmap.mmap] = {}  # each holds a file descriptor
        self._dropped: list[mmap.mmap] = []
        self.address: Address | None = None
        try:
            self._fd = os.memfd_create(NAME)
        except (AttributeError, OSError):  # another system, or no memory left
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
        for index in reversed(range(len(self._free))):  # the last slot used may still be in caches
            if self._free[index].size >= size:
                return self._free.pop(index)
        if self._free:  # the free slots are too small: messages have grown
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
        """Frees the slot for reuse: no process writes to it or reads it any more."""
        self._free.append(slot)

    def drop(self, slot: Slot) -> None:
        """Takes the slot out of use, because a lost worker may still write to it."""
        self._dropped.append(self._memory.pop(slot))
        for memory in self._dropped:  # again those that were written to after they had been given back
            memory.madvise(mmap.MADV_REMOVE)
        self._n_left += 1

    def unpack(self, packed: Packed, slot: Slot) -> Any:
        """The object; its arrays are views of the slot, which is given back when the last view is gone."""
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
        if not os.readlink(path).startswith(f"/memfd:{NAME}"):  # on another machine it may be anything
            raise FileNotFoundError(f"{path} is no arena")
        self._fd = os.open(path, os.O_RDWR)
        weakref.finalize(self, os.close, self._fd)
        self._memory: dict[Slot, np.ndarray] = {}
        if os.read(self._fd, TOKEN_BYTES) != address.token:
            raise FileNotFoundError(f"{path} is another arena")

    def sheet(self, slot: Slot) -> Sheet | None:
        """The slot, to be written; None where this process may not map more memory."""
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
        """(n,) uint8 in the slot, or elsewhere if it does not fit."""
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
