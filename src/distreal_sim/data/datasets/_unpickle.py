"""Reads a pickle of unknown origin without running its code."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from distreal_sim.data.datasets._files import damaged, read

_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
_FROM_BUFFER: Any = np.zeros(0).__reduce_ex__(5)[0]

# The names that a pickled array needs, as numpy 1 and numpy 2 spell them; nothing else may be called.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, only numpy arrays are admitted")
        return _ALLOWED[module, name]


def unpickle(path: Path, source: str) -> dict[str, Any]:
    """The dictionary in a (compressed) pickle of numpy arrays and plain Python values, Python 2's included.

    Raises InputError for anything else, without having called it.
    """
    value = _load(read(path, source), path, source)
    if not isinstance(value, dict):
        raise damaged(path, f"expected a pickled dictionary, found {type(value).__name__}", source)
    return value


def unpickle_npz(path: Path, key: str, source: str) -> dict[str, Any]:
    """The dictionary that `numpy.savez(path, key=dictionary)` has pickled.

    Raises InputError for anything else, without having called it.
    """
    try:
        with zipfile.ZipFile(path) as file:
            member = io.BytesIO(file.read(f"{key}.npy"))
        version = np.lib.format.read_magic(member)
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(member)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, f"expected an .npz file with an array '{key}', but {error}", source) from error
    if shape != () or dtype != np.dtype(object):
        raise damaged(path, f"expected '{key}' to be one dictionary, found {dtype} of shape {shape}", source)
    value = _load(member.read(), path, source)
    value = value.item() if isinstance(value, np.ndarray) and value.shape == () else value
    if not isinstance(value, dict):
        raise damaged(path, f"expected '{key}' to be a dictionary, found {type(value).__name__}", source)
    return value


def _load(raw: bytes, path: Path, source: str) -> Any:
    try:
        return _ArraysOnly(io.BytesIO(raw), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise damaged(path, f"expected a pickled dictionary of arrays, but {error}", source) from error
