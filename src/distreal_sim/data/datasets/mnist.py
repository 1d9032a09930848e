"""MNIST, and every data set in its files: Fashion-MNIST, KMNIST, ...

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition.
Proceedings of the IEEE 86(11), 1998. Writers of the digits: C. Yadav, L. Bottou. Cold Case: The Lost MNIST
Digits. NeurIPS 2019 (QMNIST), whose first 60,000 training rows are MNIST's, in the same order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import SUFFIXES, damaged, find, look_for, names_in
from distreal_sim.data.datasets._idx import read_idx, read_labelled
from distreal_sim.data.datasets._stats import mean_std

_QMNIST = "the QMNIST repository of Facebook Research, which torchvision.datasets.QMNIST downloads from"
_QMNIST_LABELS = "qmnist-train-labels-idx2-int"
_IN_TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST")
_LATER = ("prefix", "first_label", "transpose")
"""Options that are written down only where they are used, so that the configs of MNIST keep their hash."""


class Mnist(Dataset):
    """Idx files, plain, .gz or .xz, in data_dir/<folder>/raw (as torchvision does), data_dir/<folder>,
    data_dir/raw or data_dir.

    A name may have a dot (train-images.idx3-ubyte) and `test` in the place of `t10k`. With folder MNIST and
    qmnist-train-labels-idx2-int(.gz) in data_dir/QMNIST/raw or next to the images, each training example gets
    its writer.
    """

    files_from: ClassVar[str] = "the data set's official page, for example by torchvision.datasets"

    data_dir: ConfigPath = Field(description="folder of the data sets (torchvision's `root`)")
    folder: str = Field("MNIST", description="MNIST, FashionMNIST, KMNIST, ...")
    n_classes: int = Field(10, ge=2, description="number of classes; labels count up from first_label")
    first_label: int = Field(0, ge=0, description="the smallest label in the files: 1 for EMNIST's letters")
    prefix: str = Field(
        "", description="beginning of the files' names, before train-images-..., like emnist-letters"
    )
    transpose: bool = Field(False, description="swap rows and columns of each image, for EMNIST's own files")

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = serialize(self)
        unused = [key for key in _LATER if getattr(self, key) == type(self).model_fields[key].default]
        return {key: value for key, value in plain.items() if key not in unused}

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
        images = self._find(part, "images-idx3-ubyte")
        labels = self._find(part, "labels-idx1-ubyte")
        x, y = read_labelled(images, labels, self._source)
        self._check_labels(labels, y)
        x = x.swapaxes(1, 2).copy() if self.transpose else x
        return Examples(x[:, None], y - self.first_label), labels

    def _find(self, part: str, what: str) -> Path:
        parts = (part, "test") if part == "t10k" else (part,)
        start = f"{self.prefix.rstrip('-')}-" if self.prefix else ""
        names = [f"{start}{p}-{w}" for p in parts for w in (what, what.replace("-idx", ".idx"))]
        return find(self._folders, *names, source=self._source, hint=self._hint(what))

    def _hint(self, what: str) -> str:
        """Advice where the files have another prefix than the config's."""
        found = {
            name.removesuffix(suffix).removesuffix(f"-train-{what}")
            for folder in self._folders
            for name in names_in(folder)
            for suffix in SUFFIXES
            if name.endswith(f"-train-{what}{suffix}")
        }
        which = "one of " * (len(found) > 1) + ", ".join(sorted(found))
        return f"set dataset.prefix to {which}, whose files are there, or " if found else ""

    def _check_labels(self, path: Path, y: np.ndarray) -> None:
        first, last = self.first_label, self.first_label + self.n_classes - 1
        wrong = np.flatnonzero((y < first) | (y > last))
        if not len(wrong):
            return
        low, high = int(y.min()), int(y.max())
        if 0 < high - low < self.n_classes:
            advice = f"set dataset.first_label={low}"
        else:
            advice = f"set dataset.n_classes={high - min(first, low) + 1}"
            advice += f" and dataset.first_label={low}" if low < first else ""
        raise InputError(
            f"data file {path}: label {y[wrong[0]]} of example {wrong[0]} is outside {first} .. {last} "
            f"(n_classes is {self.n_classes}); its labels are {low} .. {high}: {advice} if it is right, or "
            f"get it from {self._source}"
        )

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
        own = self.data_dir / self.folder
        return [own / "raw", own, self.data_dir / "raw", self.data_dir]

    @property
    def _source(self) -> str:
        by = f", for example by torchvision.datasets.{self.folder}" * (self.folder in _IN_TORCHVISION)
        return f"the official page of {self.folder}{by}"
