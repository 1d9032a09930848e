"""FEMNIST in LEAF's json files: handwritten digits and letters by writer.

S. Caldas et al. LEAF: A Benchmark for Federated Settings. 2018. The characters
are those of NIST's Special Database 19.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import check_labels, damaged
from distreal_sim.data.datasets._leaf import json_files, read_users
from distreal_sim.data.datasets._stats import mean_std

_SOURCE = "LEAF (the repository TalwalkarLab/leaf), data/femnist, made by its preprocess.sh"
_SIDE = 28


class Femnist(Dataset):
    """All json files (plain, .gz or .xz) in train/ and test/ of data_dir or of data_dir/data, as from LEAF.

    Of a.json, a.json.gz and a.json.xz the first is read. A user may stand in several files with other
    examples in each.
    A writer is a LEAF user; writers are numbered in the order of their sorted names in the training files.
    The test set is the union of the test files. Ink is dark on a white ground, the inverse of MNIST.
    """

    files_from: ClassVar[str] = _SOURCE

    data_dir: ConfigPath = Field(description="LEAF's data/femnist, or its data/femnist/data")

    def load(self) -> Data:
        """x: (N, 1, 28, 28) uint8, 62 classes."""
        train, users = self._part("train")
        test, test_users = self._part("test")
        names = np.unique(users)
        # A user of the test files only comes after those of the training files.
        names = np.concatenate([names, np.setdiff1d(test_users, names)])
        order = np.argsort(names)
        writers, test_writers = (order[np.searchsorted(names, u, sorter=order)] for u in (users, test_users))
        return Data(train, test, 62, *mean_std(train.x), writers, test_writers)

    def _part(self, part: str) -> tuple[Examples, np.ndarray]:
        """The examples of every file of a part, and the user (a string) of each."""
        xs, ys, users = [], [], []
        seen: dict[str, list[tuple[Path, np.ndarray, np.ndarray]]] = {}
        # One file at a time: a file of LEAF is far larger as json than the uint8 images it holds.
        for path in json_files(self.data_dir, part, "FEMNIST", _SOURCE):
            for user, x, y in read_users(path, _SIDE * _SIDE, _SOURCE):
                check_labels(path, y, 62, _SOURCE)
                _refuse_copy(user, path, x, y, seen.setdefault(user, []))
                xs.append(x)
                ys.append(y)
                users.append(np.full(len(y), user))
        if not sum(map(len, ys)):
            raise damaged(path.parent, "expected at least one example in its json files", _SOURCE)
        x = np.concatenate(xs).reshape(-1, 1, _SIDE, _SIDE)
        return Examples(x, np.concatenate(ys)), np.concatenate(users)


def _refuse_copy(
    user: str, path: Path, x: np.ndarray, y: np.ndarray, earlier: list[tuple[Path, np.ndarray, np.ndarray]]
) -> None:
    """Raises InputError where all of a user's examples were read before; otherwise adds them to `earlier`.

    earlier: (file, x, y) of the same user.
    """
    if earlier and len(y):
        known = {
            (row.tobytes(), int(label)) for _, xs, ys in earlier for row, label in zip(xs, ys, strict=True)
        }
        if all((row.tobytes(), int(label)) in known for row, label in zip(x, y, strict=True)):
            first = earlier[0][0]
            where = f"twice in {path}" if first == path else f"in {first} and again in {path}"
            raise InputError(
                f"data set femnist: all {len(y)} examples of user {user} stand {where}; "
                "every json file of a folder is read, so remove the copy"
            )
    if len(y):
        earlier.append((path, x, y))
