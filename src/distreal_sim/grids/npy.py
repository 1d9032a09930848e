"""Arrays as .npy files in memory: a header followed by the values.

An array that is stored right after its header already forms such a file, and is encoded without a copy.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import numpy as np

Allocate = Callable[[int], np.ndarray]
"""allocate(n): (n,) uint8, contiguous and not initialised."""

_allocate: ContextVar[Allocate | None] = ContextVar("allocate", default=None)


@contextmanager
def allocating(allocate: Allocate | None) -> Iterator[None]:
    """Within the block, `empty` takes its memory from `allocate`; None: from this process."""
    token = _allocate.set(allocate)
    try:
        yield
    finally:
        _allocate.reset(token)


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array like numpy's own `empty`; within `allocating`, right after its header in the given memory."""
    allocate = _allocate.get()
    if allocate is None:
        return np.empty(shape, dtype)
    header = _header(dtype, shape)
    file = allocate(len(header) + math.prod(shape) * dtype.itemsize)
    file[: len(header)] = header
    return file[len(header) :].view(dtype).reshape(shape)


def encode(array: np.ndarray) -> np.ndarray:
    """The .npy file of an array, (n,) uint8: the file in which it lies, or a copy."""
    array = np.asarray(array, order="C")
    header = _header(array.dtype, array.shape)
    file = _around(array, header)
    if file is None:
        size = len(header) + array.nbytes
        allocate = _allocate.get()
        file = np.empty(size, np.uint8) if allocate is None else allocate(size)
        file[: len(header)] = header
        file[len(header) :] = array.reshape(-1).view(np.uint8)
    return file


def decode(file: np.ndarray) -> np.ndarray:
    """The array in a .npy file, (n,) uint8, as a read-only view of the file."""
    long = file[6] > 1  # version 2 of the format stores the header's length in four bytes instead of two
    length = int.from_bytes(file[8 : 12 if long else 10].tobytes(), "little") + (12 if long else 10)
    shape, dtype = _parsed(file[:length].tobytes())
    decoded = file[length:].view(dtype).reshape(shape)
    decoded.flags.writeable = False
    return decoded


def address(array: np.ndarray) -> int:
    """Address of the first byte of an array."""
    start: int = array.__array_interface__["data"][0]
    return start


@lru_cache(maxsize=4096)
def _parsed(header: bytes) -> tuple[tuple[int, ...], np.dtype]:
    head = io.BytesIO(header)
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(head)
    if fortran or dtype.hasobject:
        raise ValueError(f"array of dtype {dtype} in Fortran order or with objects cannot be decoded")
    return shape, dtype


@lru_cache(maxsize=4096)
def _header(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    header = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return np.frombuffer(header.getvalue(), np.uint8)


def _around(array: np.ndarray, header: np.ndarray) -> np.ndarray | None:
    """The .npy file in which an array lies, if its base memory has the header right before it; else None."""
    memory = array.base
    if not isinstance(memory, np.ndarray) or memory.dtype != np.uint8 or memory.ndim != 1:
        return None
    start = address(array) - address(memory) - len(header)
    if start < 0 or not np.array_equal(memory[start : start + len(header)], header):
        return None
    return memory[start : start + len(header) + array.nbytes]
