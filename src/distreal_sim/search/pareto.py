"""Non-dominated points of (relative MACs, score), and the area they dominate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pymoo.indicators.hv import HV

REFERENCE_MACS = 1.05
"""Reference point of every hypervolume: (1.05, 0), relative MACs and score relative to the zero vector's."""

Point = tuple[float, float]
"""(relative MACs, to minimise; score, to maximise)."""


def non_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats in both, cheapest first; of equal points the first."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    chosen: list[int] = []
    for i in order:
        if not chosen or points[i][1] > points[chosen[-1]][1]:
            chosen.append(i)
    return chosen


def hypervolume(points: Sequence[Point], zero_score: float) -> float:
    """Area dominated by the points, down to the reference point (1.05, 0); 0 without points.

    zero_score: the zero vector's score, by which scores are divided; must be > 0.
    """
    to_minimise = sorted((macs, -score / zero_score) for macs, score in points)
    return float(HV(ref_point=np.array([REFERENCE_MACS, 0.0]))(np.reshape(to_minimise, (-1, 2))))


def best_subset(points: Sequence[Point], n: int) -> list[int]:
    """Indices of the n points of largest hypervolume among those that hold the first and the last point.

    points: cheapest first, scores growing but for the last; n >= 2. Exact, by dynamic programming from the
    right: the area that a point adds ends where the next chosen one begins.
    """
    if len(points) <= n:
        return list(range(len(points)))
    last = len(points) - 1
    heights = [max(0.0, score) for _, score in points]
    value = [-math.inf] * last + [0.0]
    choices: list[list[int]] = []
    for _ in range(n - 1):
        longer, choice = [-math.inf] * len(points), [last] * len(points)
        for i in range(last):
            for j in range(i + 1, len(points)):
                area = (points[j][0] - points[i][0]) * heights[i]
                if j == last:
                    area += (REFERENCE_MACS - points[j][0]) * max(heights[i], heights[j])
                if area + value[j] > longer[i]:
                    longer[i], choice[i] = area + value[j], j
        value = longer
        choices.append(choice)
    chosen = [0]
    for choice in reversed(choices):
        chosen.append(choice[chosen[-1]])
    return chosen
