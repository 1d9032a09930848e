"""Metrics: how well a network does its task on test examples; one plug-in a file."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from distreal_sim.base.plugins import Plugin
from distreal_sim.data.datasets import Targets

Better = Literal["higher", "lower"]
"""Which of two values of a score is the better one."""


class Metric(Plugin):
    """A number from a network's outputs on all test examples, exact however these are divided.

    Each part of the examples is reduced to an array, its statistics; those of parts are joined, and the
    value is a function of the joined ones. targets: what y may hold. better: which values are better. span:
    the lowest and the highest value that there can be.
    """

    package: ClassVar[str] = "distreal_sim.recipe.metrics"
    label: ClassVar[str] = "metric"

    targets: ClassVar[tuple[Targets, ...]]
    better: ClassVar[Better] = "higher"
    span: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @property
    def column(self) -> str:
        """Its name in columns, after `test_`: that of its file, or of the user's class."""
        return self.name.rpartition(".")[2]

    @abstractmethod
    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """Of n examples. outputs: as the network returns them; y: one of `Targets`."""

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Of all examples, from those of their parts (at least one), in order; by default the sums."""
        return reduce(np.add, parts)

    @abstractmethod
    def value(self, statistics: np.ndarray) -> float:
        """From the statistics of all examples; NaN where they do not define it."""
