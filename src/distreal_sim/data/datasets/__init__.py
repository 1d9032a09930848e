"""Data sets: one plug-in a file, each reading the files that users already have."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.plugins import ConfigPath, Plugin

__all__ = ["IGNORED", "ConfigPath", "Data", "Dataset", "Examples", "Targets"]


Targets = Literal["class", "tokens", "values", "marks"]
"""What stands in y, told by its type and shape.

- class: (N,) int64, one of 0 .. n_outputs - 1;
- tokens: (N, L) int64, each of 0 .. n_outputs - 1, or `IGNORED` where nothing is asked;
- values: (N, n_outputs) float32, real numbers;
- marks: (N, n_outputs) uint8, 1 for each label that applies and 0 for the others.
"""

IGNORED = -100
"""A token in y that neither the loss nor a metric counts (PyTorch's `ignore_index`)."""


@dataclass(frozen=True)
class Examples:
    """Inputs x and targets y of N examples.

    x: (N, C, ...) uint8 or float32, as stored, or (N, L) int64 token ids. y: classes (N,) int64, tokens
    (N, L) int64, values (N, n_outputs) float32, or labels that apply or not (N, n_outputs) uint8 (`Targets`).
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def at(self, places: np.ndarray) -> Examples:
        """The examples at these places, in their order."""
        return Examples(self.x[places], self.y[places])


@dataclass(frozen=True)
class Data:
    """A data set in memory; a batch of numbers is normalised per channel, (x - mean) / std, when it is used.

    n_outputs: what the network returns for each example or token: the number of classes, of different tokens,
    of values or of labels. mean, std: (C,) float32 in the unit of the stored x; None: x is used as it is, as
    tokens always are. writers: (N,) int64, who produced each training example, or None where the data set
    does not say; test_writers: the same of the test examples, with the same numbers. vocabulary: number of
    different tokens in x; None if x holds no tokens. pad: a token of y that counts as `IGNORED`.
    """

    train: Examples
    test: Examples
    n_outputs: int
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    writers: np.ndarray | None = None
    test_writers: np.ndarray | None = None
    vocabulary: int | None = None
    pad: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example: (C, H, W) of an image, (C,) of a row of a table, (L,) of a text."""
        return tuple(self.train.x.shape[1:])

    def blank(self, n: int) -> np.ndarray:
        """Inputs of n examples as a network gets them, for a forward pass whose result nobody reads.

        Zeros, or tokens in turn.
        """
        if self.vocabulary is None:
            return np.zeros((n, *self.shape), np.float32)
        return (np.arange(n * math.prod(self.shape)) % self.vocabulary).reshape(n, *self.shape)

    @property
    def targets(self) -> Targets:
        """What stands in y: `class`, `tokens`, `values` or `marks`, told by its type and shape."""
        y = self.train.y
        if y.dtype == np.int64:
            return "class" if y.ndim == 1 else "tokens"
        return "marks" if y.dtype == np.uint8 else "values"


class Dataset(Plugin):
    """Reads a data set."""

    package: ClassVar[str] = "distreal_sim.data.datasets"
    label: ClassVar[str] = "data set"
    files_from: ClassVar[str] = ""
    """Where to get the files, named where they are missing; empty where they are the user's own, or none."""

    validation: float = Field(
        0.0, ge=0, lt=1, description="fraction of the training examples held out for searches"
    )

    @abstractmethod
    def load(self) -> Data:
        """Reads the files. Raises InputError naming the file, the expected content and a source of it."""
