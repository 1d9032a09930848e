"""Which of many proposed vectors are worth training: a model of the scores known so far chooses.

A Gaussian process over the kept shares of channels predicts scores; costs are known exactly. Vectors are
chosen one after another, each the one whose predicted score adds the most hypervolume to the front of those
that were tried, as the process sees them, and of those chosen before it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from distreal_sim.search.pareto import REFERENCE_COST, Point, hypervolume, non_dominated
from distreal_sim.search.score import Score
from distreal_sim.search.space import Pair, Space
from distreal_sim.thinning.structure import Counts

OPTIMISM = 1.0
"""Standard deviations of a prediction that are added to it, so that unknown regions are tried too."""


def screen(space: Space, scores: Mapping[Counts, Score], proposed: Sequence[Counts], n: int) -> list[Counts]:
    """The n most promising of the proposed vectors, best first; all where there are no more than n."""
    if len(proposed) <= n:
        return list(proposed)
    tried = list(scores)
    values = np.array([scores[counts].mean for counts in tried])
    known, hoped = _predict(space, tried, values, proposed)
    front = [space.point(Pair(c), value) for c, value in zip(tried, known.tolist(), strict=True)]
    offers = [space.point(Pair(c), value) for c, value in zip(proposed, hoped.tolist(), strict=True)]
    return [proposed[i] for i in add_most(front, offers, n)]


def add_most(front: Sequence[Point], offers: Sequence[Point], n: int) -> list[int]:
    """Indices of n offers, chosen one after another, each the one that adds the most hypervolume.

    Added to: the front and the offers chosen before. Where none adds any, the one of highest score; of
    equal ones the first.
    """
    chosen: list[int] = []
    left = list(range(len(offers)))
    while left and len(chosen) < n:
        front = [front[i] for i in non_dominated(front)]
        gains = _gains(front, offers)
        best = max(left, key=lambda i: (gains[i], offers[i][-1]))
        left.remove(best)
        chosen.append(best)
        front = [*front, offers[best]]
    return chosen


def _gains(front: Sequence[Point], offers: Sequence[Point]) -> np.ndarray:
    """(M,) area or volume that each offer adds to a non-dominated front, cheapest first."""
    if len(offers[0]) > 2:
        held = hypervolume(front, 1.0)
        return np.array([hypervolume([*front, offer], 1.0) - held for offer in offers])
    edges = np.array([-np.inf, *(macs for macs, _ in front), REFERENCE_COST])
    heights = np.array([0.0, *(max(0.0, score) for _, score in front)])
    macs, score = np.array(offers).T[:, :, None]
    ends = np.minimum(edges[1:], REFERENCE_COST)
    widths = np.maximum(0.0, ends - np.maximum(edges[:-1], macs))
    gains: np.ndarray = (widths * np.maximum(0.0, score - heights)).sum(axis=1)
    return gains


def _predict(
    space: Space, tried: Sequence[Counts], values: np.ndarray, proposed: Sequence[Counts]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the tried vectors without their noise, and of the proposed ones with optimism."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(np.ones(len(space.thinnable)), (0.05, 50.0), nu=2.5)
    kernel += WhiteKernel(0.05, (1e-4, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(_shares(space, tried), values)
        mean, deviation = process.predict(_shares(space, proposed), return_std=True)
        return process.predict(_shares(space, tried)), mean + OPTIMISM * deviation


def _shares(space: Space, vectors: Sequence[Counts]) -> np.ndarray:
    """(M, L) kept shares of the channels."""
    return np.array([1 - space.rates(counts) for counts in vectors])
