"""The mean F1 of the classes or labels, each counting alike."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.metrics import Metric


class MacroF1(Metric):
    """The mean over the classes of 2 TP / (2 TP + FP + FN).

    Of marks: over the labels, predicted where the output is above 0. Classes and labels that no example has
    and that were never predicted are left out.
    """

    targets: ClassVar[tuple[Targets, ...]] = ("class", "marks")
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(3, n_outputs): true positives, predicted, and there are."""
        n_outputs = outputs.shape[1]
        if y.ndim == 1:
            given = outputs.argmax(1)
            parts = [torch.bincount(own, minlength=n_outputs) for own in (given[given == y], given, y)]
        else:
            applies, given = y > 0, outputs > 0
            parts = [marks.sum(0) for marks in (applies & given, given, applies)]
        return torch.stack(parts).double().cpu().numpy()

    def value(self, statistics: np.ndarray) -> float:
        right, predicted, there = statistics
        seen = predicted + there > 0
        return float(np.mean(2 * right[seen] / (predicted + there)[seen])) if seen.any() else math.nan
