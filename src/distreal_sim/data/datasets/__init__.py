"""Data sets: one plug-in a file, each reading the files that users already have."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.plugins import ConfigPath, Plugin

__all__ = ["ConfigPath", "Data", "Dataset", "Examples"]


@dataclass(frozen=True)
class Examples:
    """x: (N, C, H, W) uint8 or float32, as stored; y: (N,) int64 class indices."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """A data set in memory; a batch is normalised as (x - mean) / std, per channel, when it is used.

    mean, std: (C,) float32 in the unit of the stored x. writers: (N,) int64, who produced each training
    example, or None where the data set does not say.
    """

    train: Examples
    test: Examples
    n_classes: int
    mean: np.ndarray
    std: np.ndarray
    writers: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (C, H, W) of one example."""
        return tuple(self.train.x.shape[1:])


class Dataset(Plugin):
    """Reads a data set."""

    package: ClassVar[str] = "distreal_sim.data.datasets"
    label: ClassVar[str] = "data set"

    validation: float = Field(
        0.0, ge=0, lt=1, description="fraction of the training examples held out for searches"
    )

    @abstractmethod
    def load(self) -> Data:
        """Reads the files. Raises InputError naming the file, the expected content and a source of it."""
