"""How many tokens a network is undecided between."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from distreal_sim.data.datasets import IGNORED, Targets
from distreal_sim.recipe.metrics import Better, Metric


class Perplexity(Metric):
    """exp of the mean cross-entropy (nats) over the tokens that are asked for, or over the examples."""

    targets: ClassVar[tuple[Targets, ...]] = ("class", "tokens")
    better: ClassVar[Better] = "lower"
    span: ClassVar[tuple[float, float]] = (1.0, math.inf)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(sum of the cross-entropies, n)."""
        scores = outputs.double().flatten(0, -2)
        total = F.cross_entropy(scores, y.flatten(), ignore_index=IGNORED, reduction="sum")
        return np.array([total.item(), int((y != IGNORED).sum())], np.float64)

    def value(self, statistics: np.ndarray) -> float:
        total, n = statistics
        with np.errstate(over="ignore"):
            return float(np.exp(total / n)) if n else math.nan
