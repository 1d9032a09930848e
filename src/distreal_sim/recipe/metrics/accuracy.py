"""The share of right answers."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from torch import Tensor

from distreal_sim.data.datasets import IGNORED, Targets
from distreal_sim.recipe.metrics import Metric


class Accuracy(Metric):
    """The share of examples, or of tokens that are asked for, whose class has the highest score."""

    targets: ClassVar[tuple[Targets, ...]] = ("class", "tokens")
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(n_right, n)."""
        right = (outputs.argmax(-1) == y).sum()
        return np.array([int(right), int((y != IGNORED).sum())], np.float64)

    def value(self, statistics: np.ndarray) -> float:
        n_right, n = statistics
        return float(n_right / n) if n else math.nan
