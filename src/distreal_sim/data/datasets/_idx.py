"""The idx file format of MNIST.

Bytes 0 and 1 are zero, byte 2 is the type, byte 3 the number of dimensions; then one big-endian uint32 per
dimension; then the array, big-endian, last index fastest.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from distreal_sim.data.datasets._files import damaged, read

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path, dtype: str, n_dims: int, source: str) -> np.ndarray:
    """The array of an idx file of this type (a key of numpy, 'u1' or '>i4') and number of dimensions.

    Raises InputError for a wrong magic number or a size that the header does not announce.
    """
    raw = read(path, source)
    code = next(key for key, value in _TYPES.items() if value == dtype)
    if raw[:4] != bytes((0, 0, code, n_dims)):
        problem = f"expected magic number 0x{code << 8 | n_dims:08x}, found 0x{raw[:4].hex() or '(nothing)'}"
        raise damaged(path, problem, source)
    start = 4 + 4 * n_dims
    if len(raw) < start:
        raise damaged(path, f"expected a header of {start} bytes, found {len(raw)} bytes", source)
    shape = struct.unpack(f">{n_dims}I", raw[4:start])
    expected = start + math.prod(shape) * np.dtype(dtype).itemsize
    if len(raw) != expected:
        size = " x ".join(str(n) for n in shape)
        raise damaged(path, f"its header announces {size}, {expected} bytes, found {len(raw)} bytes", source)
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def read_labelled(images: Path, labels: Path, source: str) -> tuple[np.ndarray, np.ndarray]:
    """x: (N, H, W) uint8 and y: (N,) int64 of a pair of files.

    Raises InputError where they have not as many images as labels, or none.
    """
    x = read_idx(images, "u1", 3, source)
    y = read_idx(labels, "u1", 1, source).astype(np.int64)
    if len(x) != len(y) or not len(y):
        problem = f"expected one label for each of {len(x)} images, at least one, found {len(y)}"
        raise damaged(labels, problem, source)
    return x, y
