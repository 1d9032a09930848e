"""The share of answers among the best few."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from distreal_sim.data.datasets import IGNORED, Targets
from distreal_sim.recipe.metrics import Metric


class TopK(Metric):
    """The share of examples, or of tokens that are asked for, whose class is among the k highest scores.

    Of equal scores, those that PyTorch's topk takes count.
    """

    k: int = Field(5, ge=1, description="number of scores")

    targets: ClassVar[tuple[Targets, ...]] = ("class", "tokens")
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def column(self) -> str:
        return f"top_{self.k}"

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(n_right, n)."""
        best = outputs.topk(min(self.k, outputs.shape[-1]), dim=-1).indices
        right = (best == y.unsqueeze(-1)).any(-1).sum()
        return np.array([int(right), int((y != IGNORED).sum())], np.float64)

    def value(self, statistics: np.ndarray) -> float:
        n_right, n = statistics
        return float(n_right / n) if n else math.nan
