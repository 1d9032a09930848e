"""Non-dominated points of relative costs and a score, and the hypervolume that they dominate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pymoo.indicators.hv import HV

REFERENCE_COST = 1.05
"""Reference point of every hypervolume: 1.05 for each relative cost, 0 for the score relative to the zero
vector's.
"""

Point = tuple[float, ...]
"""Relative costs, to minimise: MACs and, where it is an objective, peak memory; the score, to maximise."""


def non_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats in everything, cheapest first; of equal points the first."""
    order = sorted(range(len(points)), key=lambda i: (*points[i][:-1], -points[i][-1], i))
    chosen: list[int] = []
    for i in order:  # what beats it, or is equal, comes before it
        if not any(_no_worse(points[j], points[i]) for j in reversed(chosen)):
            chosen.append(i)
    return chosen


def _no_worse(a: Point, b: Point) -> bool:
    return a[-1] >= b[-1] and all(x <= y for x, y in zip(a[:-1], b[:-1], strict=True))


def hypervolume(points: Sequence[Point], zero_score: float) -> float:
    """Area or volume dominated by the points, down to the reference point; 0 without points.

    zero_score: the zero vector's score, by which scores are divided; must be > 0.
    """
    if not points:
        return 0.0
    to_minimise = sorted((*costs, -score / zero_score) for *costs, score in points)
    reference = [REFERENCE_COST] * (len(to_minimise[0]) - 1) + [0.0]
    return float(HV(ref_point=np.array(reference))(np.array(to_minimise)))


def best_subset(points: Sequence[Point], n: int) -> list[int]:
    """Indices of at most n points of largest hypervolume, the first and the last point among them; n >= 2.

    points: cheapest first. Of MACs and scores, which grow but for the last, the choice is exact. With memory
    the point of least memory is held too, where n is at least 3, and others are added one after another, each
    the one that adds the most (at least 1 - 1/e of what the best choice adds).
    """
    if len(points) <= n:
        return list(range(len(points)))
    return _exact_subset(points, n) if len(points[0]) == 2 else _greedy_subset(points, n)


def _greedy_subset(points: Sequence[Point], n: int) -> list[int]:
    zero = points[-1][-1] if points[-1][-1] > 0 else 1.0
    least = min(range(len(points)), key=lambda i: (points[i][1], -points[i][-1], i))
    chosen = list(dict.fromkeys([0, len(points) - 1, least]))[:n]
    while len(chosen) < n:
        left = [i for i in range(len(points)) if i not in chosen]
        held = [points[i] for i in chosen]
        volumes = [hypervolume([*held, points[i]], zero) for i in left]
        chosen.append(left[int(np.argmax(volumes))])
    return sorted(chosen)


def _exact_subset(points: Sequence[Point], n: int) -> list[int]:
    """By dynamic programming from the right: the area that a point adds ends where the next chosen begins."""
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
                    area += (REFERENCE_COST - points[j][0]) * max(heights[i], heights[j])
                if area + value[j] > longer[i]:
                    longer[i], choice[i] = area + value[j], j
        value = longer
        choices.append(choice)
    chosen = [0]
    for choice in reversed(choices):
        chosen.append(choice[chosen[-1]])
    return chosen
