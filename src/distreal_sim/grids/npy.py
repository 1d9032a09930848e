"""Arrays as files of numpy's own format in memory: a header, and after it the numbers.

An array that is placed right after its header is such a file already, and is not copied when it is encoded.
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
    """The file of an array, (n,) uint8: the one in which it lies, or a copy."""
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
    """The array of a file, (n,) uint8, as a read-only view of it."""
    long = file[6] > 1  # the format's version 2 gives the header's length in four bytes instead of two
    length = int.from_bytes(file[8 : 12 if long else 10].tobytes(), "little") + (12 if long else 10)
    shape, dtype = _parsed(file[:length].tobytes())
    decoded = file[length:].view(dtype).reshape(shape)
    decoded.flags.writeable = False
    return decoded


def address(array: np.ndarray) -> int:
    """Where an array's memory begins."""
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
    """The file in which an array lies, if the memory that it was cut from has its header right before it."""
    memory = array.base
    if not isinstance(memory, np.ndarray) or memory.dtype != np.uint8 or memory.ndim != 1:
        return None
    start = address(array) - address(memory) - len(header)
    if start < 0 or not np.array_equal(memory[start : start + len(header)], header):
        return None
    return memory[start : start + len(header) + array.nbytes]
