"""The area under the ROC curve.

It is the share of pairs of a positive and a negative example in which the positive one has the higher score,
equal scores counting one half (Hanley, McNeil: The meaning and use of the area under a receiver operating
characteristic (ROC) curve. Radiology 143, 1982). No sums of parts give it, so the statistics are the scores
themselves, which are put one after another and ranked once: exact, at 8 bytes for each example and output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.metrics import Metric


class Auroc(Metric):
    """The mean over the classes of the area for this class against all others, by its probability.

    Of marks: over the labels. Classes and labels that all examples have, or none, are left out.
    """

    targets: ClassVar[tuple[Targets, ...]] = ("class", "marks")
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def statistics(self, outputs: Tensor, y: Tensor) -> np.ndarray:
        """(n, 2 n_outputs): scores of the outputs, then 1 for each output that applies."""
        scores = outputs.double()
        if y.ndim == 1:
            scores = scores.softmax(1)
        applies = np.eye(outputs.shape[1])[y.cpu().numpy()] if y.ndim == 1 else y.cpu().numpy()
        return np.hstack([scores.cpu().numpy(), applies])

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts)

    def value(self, statistics: np.ndarray) -> float:
        scores, applies = np.hsplit(statistics, 2)
        areas = [_area(score, own > 0) for score, own in zip(scores.T, applies.T, strict=True)]
        known = [area for area in areas if not math.isnan(area)]
        return float(np.mean(known)) if known else math.nan


def _area(scores: np.ndarray, positive: np.ndarray) -> float:
    """scores: (n,); positive: (n,) bool. NaN where all are positive, or none."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return math.nan
    _, place, n_equal = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(n_equal) - (n_equal - 1) / 2)[place]  # the mean rank of equal scores
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
