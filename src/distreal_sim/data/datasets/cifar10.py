"""CIFAR-10. A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. Technical report, 2009."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from distreal_sim.data.datasets import ConfigPath, Data, Dataset
from distreal_sim.data.datasets._cifar import SOURCE, pooled, read_batches
from distreal_sim.data.datasets._stats import mean_std


class Cifar10(Dataset):
    """data_batch_1 .. 5 and test_batch (plain, .gz or .xz) in data_dir/cifar-10-batches-py or in data_dir."""

    files_from: ClassVar[str] = SOURCE.format("CIFAR10")

    data_dir: ConfigPath = Field(description="folder of the data sets (torchvision's `root`)")
    pool: int = Field(
        1,
        ge=1,
        le=8,
        description="each image becomes the means of its squares of pool x pool pixels; 2: 16 x 16 images",
    )

    @field_validator("pool")
    @classmethod
    def _divides(cls, pool: int) -> int:
        if 32 % pool:
            raise ValueError("pool must divide 32: 1, 2, 4 or 8")
        return pool

    def load(self) -> Data:
        """x: (N, 3, 32 / pool, 32 / pool) uint8, 10 classes."""
        folders = [self.data_dir / "cifar-10-batches-py", self.data_dir]
        train = read_batches(folders, [f"data_batch_{i}" for i in range(1, 6)], "labels", 10, self.files_from)
        test = read_batches(folders, ["test_batch"], "labels", 10, self.files_from)
        train, test = pooled(train, self.pool), pooled(test, self.pool)
        return Data(train, test, 10, *mean_std(train.x))
