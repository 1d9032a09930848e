"""Data sets that PFLlib has cut into clients: one .npz file a client.

J. Zhang et al. PFLlib: A Beginner-Friendly and Comprehensive Personalized Federated Learning Library and
Benchmark. JMLR 26, 2025 (the repository TsingZ0/PFLlib, dataset/generate_*.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import damaged, read, what_lies_there
from distreal_sim.data.datasets._inputs import as_inputs
from distreal_sim.data.datasets._stats import mean_std
from distreal_sim.data.datasets._unpickle import unpickle_npz

_SOURCE = "PFLlib's dataset/generate_*.py"


class Pfllib(Dataset):
    """train/0.npz, train/1.npz, ... and test/0.npz, ..., each {x, y} of a client; partition by_writer.

    A client is a writer, its number that of its file. The test set is the union of the test files, in the
    order of the numbers. The files are pickles, of which arrays only are admitted.
    """

    files_from: ClassVar[str] = _SOURCE

    data_dir: ConfigPath = Field(description="PFLlib's dataset/NAME, which holds train/ and test/")

    def load(self) -> Data:
        """x: uint8 or float32, as stored; n_classes: num_classes of config.json, or the largest label + 1."""
        train, writers = self._part("train")
        test, test_writers = self._part("test")
        largest = max(int(train.y.max()), int(test.y.max()))
        n_classes = max(largest + 1, self._announced())
        return Data(train, test, n_classes, *mean_std(train.x), writers, test_writers)

    def _part(self, part: str) -> tuple[Examples, np.ndarray]:
        files = sorted(
            (int(path.stem), path) for path in (self.data_dir / part).glob("*.npz") if path.stem.isdecimal()
        )
        if not files:
            folder = self.data_dir / part
            there = what_lies_there([folder, self.data_dir])
            raise InputError(f"no files 0.npz, 1.npz, ... found in {folder}; {there}get them from {_SOURCE}")
        read_all = [(number, *_client(path)) for number, path in files]
        shapes = {x.shape[1:]: path for (_, x, _), (_, path) in zip(read_all, files, strict=True)}
        if len(shapes) > 1:
            (first, _), (second, path), *_ = shapes.items()
            raise damaged(path, f"its examples have shape {second}, those of other clients {first}", _SOURCE)
        writers = np.repeat([n for n, _, _ in read_all], [len(y) for _, _, y in read_all]).astype(np.int64)
        x, y = (np.concatenate([client[i] for client in read_all]) for i in (1, 2))
        return Examples(x, y), writers

    def _announced(self) -> int:
        """The number of classes in config.json, 0 where there is none."""
        path = self.data_dir / "config.json"
        if not path.is_file():
            return 0
        try:
            n_classes = json.loads(read(path, _SOURCE)).get("num_classes", 0)
        except (ValueError, AttributeError) as error:
            raise damaged(path, f"expected a json object, but {error}", _SOURCE) from error
        return int(n_classes)


def _client(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """x: (n, ...) uint8 or float32 and y: (n,) whole numbers of one file."""
    content: dict[Any, Any] = unpickle_npz(path, "data", _SOURCE)
    x, y = (_numbers(path, content, key) for key in "xy")
    if y.ndim != 1 or y.dtype.kind not in "iu" or x.shape[:1] != y.shape or (y < 0).any():
        problem = f"expected a whole number y >= 0 for each x, found x {x.shape} and y {y.dtype} {y.shape}"
        raise damaged(path, problem, _SOURCE)
    return as_inputs(x, "first", f"data file {path}: x"), y.astype(np.int64)


def _numbers(path: Path, content: dict[Any, Any], key: str) -> np.ndarray:
    array = content.get(key)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise damaged(path, f"expected '{key}' to be an array of numbers, found {found}", _SOURCE)
    return array
