"""The mean absolute error."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.metrics import Better, Metric


class Mae(Metric):
    """The mean absolute error over all values, in the unit of y."""

    targets: ClassVar[tuple[Targets, ...]] = ("values",)
    better: ClassVar[Better] = "lower"
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(sum of the absolute errors, number of values)."""
        return np.array([(outputs.double() - y).abs().sum().item(), y.numel()], np.float64)

    def value(self, statistics: np.ndarray) -> float:
        total, n = statistics
        return float(total / n)
