"""A found front against uniform rates, on seeds that the search has not seen.

The best of many noisy scores is too good (the winner's curse), so the front and uniform rates with as
many entries are scored again, both with the same fresh seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.search.explore import Evaluate
from distreal_sim.search.objective import Score
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.space import Space
from distreal_sim.thinning.structure import Counts

RESAMPLES = 1000
"""Bootstrap samples."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Hypervolumes on fresh seeds with 95 % bootstrap intervals.

    gain: found / uniform - 1. The intervals are over the seeds of the short trainings, resampled jointly for
    all entries; another search with another seed is not in them.
    """

    n_found: int
    n_uniform: int
    found: float
    found_interval: Interval
    uniform: float
    uniform_interval: Interval
    gain: float
    gain_interval: Interval


@dataclass(frozen=True)
class Reevaluation:
    """found, uniform: the entries of either front, with fresh scores."""

    found: Mapping[Counts, Score]
    uniform: Mapping[Counts, Score]
    comparison: Comparison


def reevaluate(
    space: Space, found: Sequence[Counts], evaluate: Evaluate, rng: np.random.Generator
) -> Reevaluation:
    """Scores `found`, which must hold the zero vector, and as many uniform vectors."""
    uniform = space.uniform(len(found))
    asked = list(dict.fromkeys([*found, *uniform]))
    scores = dict(zip(asked, evaluate(asked), strict=True))
    return Reevaluation(
        {counts: scores[counts] for counts in found},
        {counts: scores[counts] for counts in uniform},
        _compare(space, found, uniform, scores, rng),
    )


def _compare(
    space: Space,
    found: Sequence[Counts],
    uniform: Sequence[Counts],
    scores: Mapping[Counts, Score],
    rng: np.random.Generator,
) -> Comparison:
    drops = {counts: np.array(score.drops) for counts, score in scores.items()}
    n_snapshots, n_repeats = next(iter(drops.values())).shape
    macs = {counts: space.relative_macs(counts) for counts in scores}
    zero = space.structure.full_counts()

    def volumes(chosen: np.ndarray) -> list[float]:
        """Hypervolumes of both fronts on the (snapshots, repeats) chosen seeds."""
        means = {c: float(np.take_along_axis(d, chosen, axis=1).mean()) for c, d in drops.items()}
        if means[zero] <= 0:
            return [np.nan, np.nan]
        return [hypervolume([(macs[c], means[c]) for c in front], means[zero]) for front in (found, uniform)]

    once = np.tile(np.arange(n_repeats), (n_snapshots, 1))
    samples = np.array([volumes(rng.integers(n_repeats, size=once.shape)) for _ in range(RESAMPLES)])
    of_found, of_uniform = volumes(once)
    gains = samples[:, 0] / samples[:, 1] - 1
    return Comparison(
        n_found=len(found),
        n_uniform=len(uniform),
        found=of_found,
        found_interval=_interval(samples[:, 0]),
        uniform=of_uniform,
        uniform_interval=_interval(samples[:, 1]),
        gain=of_found / of_uniform - 1,
        gain_interval=_interval(gains),
    )


def _interval(values: np.ndarray) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
