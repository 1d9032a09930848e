"""The share of the variance that a network explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import ClassVar

import numpy as np
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.metrics import Metric


class R2(Metric):
    """1 - squared errors / squared deviations of y from its mean; the mean over the values of an example.

    Values that are the same in all examples are left out. Deviations of parts are joined about the common
    mean by the formula of Chan, Golub, LeVeque (Algorithms for computing the sample variance, The American
    Statistician 37, 1983), so that values far from 0 lose no digits.
    """

    targets: ClassVar[tuple[Targets, ...]] = ("values",)
    span: ClassVar[tuple[float, float]] = (-math.inf, 1.0)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(4, n_outputs): number of examples, mean of y, squared deviations from it, squared errors."""
        wanted, got = y.double().cpu().numpy(), outputs.double().cpu().numpy()
        mean = wanted.mean(axis=0)
        deviations, errors = ((wanted - mean) ** 2).sum(axis=0), ((got - wanted) ** 2).sum(axis=0)
        return np.stack([np.full_like(mean, len(wanted)), mean, deviations, errors])

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return reduce(_joined, parts)

    def value(self, statistics: np.ndarray) -> float:
        _, _, deviations, errors = statistics
        varies = deviations > 0
        return float(np.mean(1 - errors[varies] / deviations[varies])) if varies.any() else math.nan


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = a[0] + b[0]
    between = b[1] - a[1]
    mean = a[1] + between * b[0] / n
    return np.stack([n, mean, a[2] + b[2] + between**2 * a[0] * b[0] / n, a[3] + b[3]])
