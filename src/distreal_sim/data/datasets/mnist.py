"""MNIST, and every data set in its files: Fashion-MNIST, KMNIST, ...

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition.
Proceedings of the IEEE 86(11), 1998. Writers of the digits: C. Yadav, L. Bottou. Cold Case: The Lost MNIST
Digits. NeurIPS 2019 (QMNIST), whose first 60,000 training rows are MNIST's, in the same order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import check_labels, damaged, find, look_for
from distreal_sim.data.datasets._idx import read_idx
from distreal_sim.data.datasets._stats import mean_std

_QMNIST = "the QMNIST repository of Facebook Research, which torchvision.datasets.QMNIST downloads from"
_QMNIST_LABELS = "qmnist-train-labels-idx2-int"


class Mnist(Dataset):
    """Idx files, plain or .gz, in data_dir/<folder>/raw (as torchvision leaves them), data_dir/raw, data_dir.

    With folder MNIST and qmnist-train-labels-idx2-int(.gz) in data_dir/QMNIST/raw or beside the images, each
    training example gets its writer.
    """

    data_dir: ConfigPath = Field(description="folder of the data sets: what torchvision calls root")
    folder: str = Field("MNIST", description="MNIST, FashionMNIST, KMNIST, ...")
    n_classes: int = Field(10, ge=2, description="number of classes; labels are 0 ... n_classes - 1")

    def load(self) -> Data:
        """x: (N, 1, H, W) uint8."""
        train, train_labels = self._examples("train")
        test, test_labels = self._examples("t10k")
        if train.x.shape[1:] != test.x.shape[1:]:
            problem = f"training images are {train.x.shape[2:]}, test images {test.x.shape[2:]}"
            raise damaged(test_labels.parent, problem, self._source)
        mean, std = mean_std(train.x)
        return Data(train, test, self.n_classes, mean, std, self._writers(train.y, train_labels))

    def _examples(self, part: str) -> tuple[Examples, Path]:
        images = find(self._folders, f"{part}-images-idx3-ubyte", self._source)
        labels = find(self._folders, f"{part}-labels-idx1-ubyte", self._source)
        x = read_idx(images, "u1", 3, self._source)[:, None]
        y = read_idx(labels, "u1", 1, self._source).astype(np.int64)
        if len(x) != len(y) or not len(y):
            problem = f"expected one label for each of {len(x)} images, at least one, found {len(y)}"
            raise damaged(labels, problem, self._source)
        check_labels(labels, y, self.n_classes, self._source)
        return Examples(x, y), labels

    def _writers(self, y: np.ndarray, labels: Path) -> np.ndarray | None:
        if self.folder != "MNIST":
            return None
        path = look_for([self.data_dir / "QMNIST" / "raw", labels.parent], _QMNIST_LABELS)
        if path is None:
            return None
        rows = read_idx(path, ">i4", 2, _QMNIST)
        if rows.shape[1] != 8 or len(rows) < len(y):
            size = " x ".join(str(n) for n in rows.shape)
            raise damaged(path, f"expected at least {len(y)} rows of 8 numbers, found {size}", _QMNIST)
        rows = rows[: len(y)]
        differ = np.flatnonzero(rows[:, 0] != y)
        if len(differ):
            at = differ[0]
            problem = f"digit {at} is a {rows[at, 0]} here and a {y[at]} in {labels}: not the same digits"
            raise damaged(path, problem, _QMNIST)
        return rows[:, 2].astype(np.int64)

    @property
    def _folders(self) -> list[Path]:
        return [self.data_dir / self.folder / "raw", self.data_dir / "raw", self.data_dir]

    @property
    def _source(self) -> str:
        return f"the official page of {self.folder}, for example by torchvision.datasets.{self.folder}"
