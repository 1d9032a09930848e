"""CIFAR-100. A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. Technical report, 2009."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from distreal_sim.data.datasets import ConfigPath, Data, Dataset
from distreal_sim.data.datasets._cifar import SOURCE, read_batches
from distreal_sim.data.datasets._stats import mean_std


class Cifar100(Dataset):
    """The files train and test (plain, .gz or .xz) in data_dir/cifar-100-python or in data_dir."""

    files_from: ClassVar[str] = SOURCE.format("CIFAR100")

    data_dir: ConfigPath = Field(description="folder of the data sets (torchvision's `root`)")
    labels: Literal["fine", "coarse"] = Field("fine", description="100 classes or their 20 superclasses")

    def load(self) -> Data:
        """x: (N, 3, 32, 32) uint8, 100 or 20 classes."""
        folders = [self.data_dir / "cifar-100-python", self.data_dir]
        n_classes = 100 if self.labels == "fine" else 20
        key = f"{self.labels}_labels"
        train = read_batches(folders, ["train"], key, n_classes, self.files_from)
        test = read_batches(folders, ["test"], key, n_classes, self.files_from)
        return Data(train, test, n_classes, *mean_std(train.x))
