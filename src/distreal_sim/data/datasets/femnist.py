"""FEMNIST in LEAF's json files: handwritten digits and letters by writer.

S. Caldas et al. LEAF: A Benchmark for Federated Settings. 2018. The characters
are those of NIST's Special Database 19.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import check_labels, damaged
from distreal_sim.data.datasets._leaf import read_users
from distreal_sim.data.datasets._stats import mean_std

_SOURCE = "LEAF (the repository TalwalkarLab/leaf), data/femnist, made by its preprocess.sh"
_SUFFIXES = ("*.json", "*.json.gz", "*.json.xz")
_SIDE = 28


class Femnist(Dataset):
    """All json files (plain, .gz or .xz) in train/ and test/ of data_dir or of data_dir/data, as from LEAF.

    A writer is a LEAF user; writers are numbered in the order of their sorted names in the training files.
    The test set is the union of the test files. Ink is dark on a white ground, the inverse of MNIST.
    """

    data_dir: ConfigPath = Field(description="LEAF's data/femnist, or its data/femnist/data")

    def load(self) -> Data:
        """x: (N, 1, 28, 28) uint8, 62 classes."""
        train, users = self._part("train")
        test, _ = self._part("test")
        writers = np.unique(users, return_inverse=True)[1].astype(np.int64)
        return Data(train, test, 62, *mean_std(train.x), writers=writers)

    def _part(self, part: str) -> tuple[Examples, np.ndarray]:
        """The examples of every file of a part, and the user (a string) of each."""
        xs, ys, users = [], [], []
        # One file at a time: a file of LEAF is far larger as json than the uint8 images it holds.
        for path in self._files(part):
            for user, x, y in read_users(path, _SIDE * _SIDE, _SOURCE):
                check_labels(path, y, 62, _SOURCE)
                xs.append(x)
                ys.append(y)
                users.append(np.full(len(y), user))
        if not sum(map(len, ys)):
            raise damaged(path.parent, "expected at least one example in its json files", _SOURCE)
        x = np.concatenate(xs).reshape(-1, 1, _SIDE, _SIDE)
        return Examples(x, np.concatenate(ys)), np.concatenate(users)

    def _files(self, part: str) -> list[Path]:
        folders = [self.data_dir / part, self.data_dir / "data" / part]
        for folder in folders:
            files = sorted(path for pattern in _SUFFIXES for path in folder.glob(pattern))
            if files:
                return files
        places = " or ".join(str(folder) for folder in folders)
        raise InputError(f"no json files of FEMNIST found in {places}; get them from {_SOURCE}")
