"""EMNIST: handwritten digits and letters of NIST's Special Database 19 in the format of MNIST.

G. Cohen, S. Afshar, J. Tapson, A. van Schaik. EMNIST: Extending MNIST to handwritten letters. IJCNN 2017,
arXiv:1702.05373. The files store each image column by column, and the letters count from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import check_labels, find, names_in
from distreal_sim.data.datasets._idx import read_labelled
from distreal_sim.data.datasets._stats import mean_std

_CLASSES = {"balanced": 47, "byclass": 62, "bymerge": 47, "letters": 26, "digits": 10, "mnist": 10}
_SOURCE = (
    "NIST's page 'The EMNIST Dataset' (gzip.zip, binary format), for example by torchvision.datasets.EMNIST"
)


class Emnist(Dataset):
    """Idx files emnist-SPLIT-train-images-idx3-ubyte and so on, plain, .gz or .xz, upright as they are read.

    They lie in data_dir/EMNIST/raw or data_dir/EMNIST/raw/gzip (as torchvision leaves them), in
    data_dir/EMNIST, in data_dir/gzip (as NIST's archive is unpacked) or in data_dir. The idx files do
    not say who wrote an example.
    """

    files_from: ClassVar[str] = _SOURCE

    data_dir: ConfigPath = Field(description="folder of the data sets (torchvision's `root`)")
    split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = Field(
        "balanced", description="which of EMNIST's six sets of files"
    )

    def load(self) -> Data:
        """x: (N, 1, 28, 28) uint8."""
        train, test = self._examples("train"), self._examples("test")
        return Data(train, test, _CLASSES[self.split], *mean_std(train.x))

    def _examples(self, part: str) -> Examples:
        images, labels = (
            find(self._folders, f"emnist-{self.split}-{part}-{what}", source=_SOURCE, hint=self._hint())
            for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        x, y = read_labelled(images, labels, _SOURCE)
        y = y - (self.split == "letters")
        check_labels(labels, y, _CLASSES[self.split], _SOURCE)
        return Examples(np.ascontiguousarray(x.swapaxes(1, 2))[:, None], y)

    def _hint(self) -> str:
        """Advice where the files of other splits are there."""
        there = {
            name.split("-")[1] for f in self._folders for name in names_in(f) if name.startswith("emnist-")
        }
        others = sorted((there & _CLASSES.keys()) - {self.split})
        return f"set dataset.split to {' or '.join(others)}, whose files are there, or " if others else ""

    @property
    def _folders(self) -> list[Path]:
        raw = self.data_dir / "EMNIST" / "raw"
        return [raw, raw / "gzip", raw.parent, self.data_dir / "gzip", self.data_dir]
