"""Non-dominated points of (relative MACs, score), and the area they dominate."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Area dominated by the points, down to the reference point (1.05, 0).

    zero_score: the zero vector's score, by which scores are divided; must be > 0.
    """
    area = 0.0
    chosen = [points[i] for i in non_dominated(points)]
    edges = [macs for macs, _ in chosen[1:]] + [REFERENCE_MACS]
    for (macs, score), edge in zip(chosen, edges, strict=True):
        area += max(0.0, min(edge, REFERENCE_MACS) - macs) * max(0.0, score / zero_score)
    return area
