"""Files of index lists: who holds which training examples, decided elsewhere."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError

_LAYOUT = (
    'a json file {"0": [17, 4, ...], "1": [...]} or [[17, 4, ...], [...]], or an .npz file with an array of '
    "indices for each client"
)


def read_indices(path: Path) -> dict[str, np.ndarray]:
    """Indices (n,) int64 of each client, by its name; numbered names in the order of their numbers.

    Raises InputError naming the file and the client for anything but non-empty lists of whole numbers >= 0.
    """
    lists = _read_npz(path) if path.suffix == ".npz" else _read_json(path)
    if not lists:
        raise InputError(f"partition file {path} has no clients; expected {_LAYOUT}")
    if all(name.isdecimal() for name in lists):
        lists = dict(sorted(lists.items(), key=lambda item: int(item[0])))
    return {name: _checked(values, f"partition file {path}: client {name}") for name, values in lists.items()}


def _checked(values: Any, where: str) -> np.ndarray:
    try:
        indices = np.asarray(values)
    except ValueError:
        indices = np.empty(0, object)
    if not indices.size and not isinstance(values, dict | str):
        raise InputError(f"{where} has no examples; leave it out, or give it some")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise InputError(f"{where} must have a list of whole numbers, the indices of its training examples")
    if indices.min() < 0:
        raise InputError(f"{where} has index {indices.min()}; indices count the training examples from 0")
    return indices.astype(np.int64)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"partition file {path} is not there; expected {_LAYOUT}") from error
    except OSError as error:
        raise InputError(f"partition file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"partition file {path} is no json file ({error}); expected {_LAYOUT}") from error
    if isinstance(content, list):
        return {str(i): values for i, values in enumerate(content)}
    if not isinstance(content, dict):
        raise InputError(f"partition file {path} holds {type(content).__name__}; expected {_LAYOUT}")
    return content


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise InputError(f"partition file {path} is not there; expected {_LAYOUT}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"partition file {path} cannot be read ({error}); expected {_LAYOUT}") from error
