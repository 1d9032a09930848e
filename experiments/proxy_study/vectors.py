"""The vectors of the study: at each of a few costs one uniform vector and some random ones."""

from __future__ import annotations

import numpy as np

from distreal_sim.search.space import Space
from distreal_sim.thinning.structure import Counts

LEVELS = (0.05, 0.12, 0.3, 0.6)
"""Relative training MACs."""

NEAR = 0.1
"""Relative distance from a level at which a vector still belongs to it."""


def draw_vectors(space: Space, n_random: int, rng: np.random.Generator) -> list[tuple[float, str, Counts]]:
    """(level, uniform or random, counts), the zero vector last; random rates are uniform in [0, d_max]^L.

    Vectors of a level cost about the same, so that what sets their scores apart is not the cost.
    """
    found: list[tuple[float, str, Counts]] = []
    uniform = space.uniform(200)
    for level in LEVELS:
        nearest = min(uniform, key=lambda counts: abs(space.relative_macs(counts) - level))
        chosen = [nearest]
        while len(chosen) < 1 + n_random:
            counts = space.counts(rng.uniform(0.0, space.d_max, len(space.thinnable)))
            if abs(space.relative_macs(counts) / level - 1) < NEAR and counts not in chosen:
                chosen.append(counts)
        found += [(level, "random" if i else "uniform", counts) for i, counts in enumerate(chosen)]
    return [*found, (1.0, "zero", space.structure.full_counts())]
