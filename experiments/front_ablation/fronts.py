"""The fronts of the ablation: tables of as many vectors, told apart by where the vectors come from.

All but the searched one have an entry near each cost of the uniform front, so that the costs a client can
choose from are about the same, and what differs is which layers are thinned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np

from distreal_sim.fronts.front import uniform_rates
from distreal_sim.search.space import Space
from distreal_sim.thinning.structure import Counts

Kind = Literal["uniform", "random", "greedy", "searched"]

BISECTIONS = 40


def uniform(space: Space, n: int) -> list[Counts]:
    """Rates 0, 1/n, ..., (n-1)/n in all groups, dearest first."""
    return [space.counts(rates) for rates in uniform_rates(n, len(space.thinnable))]


def random(space: Space, n: int, rng: np.random.Generator) -> list[Counts]:
    """For every uniform entry the dearest vector within its cost in a random direction.

    The vectors in direction u, uniform in [0, 1]^L, are min(t u, d_max) for t >= 0.
    """
    found = [space.structure.full_counts()]
    for entry in uniform(space, n)[1:]:
        limit, u = space.relative_macs(entry), rng.uniform(0.0, 1.0, len(space.thinnable))
        cheap, dear = space.d_max / u.min(), 0.0
        for _ in range(BISECTIONS):
            t = (cheap + dear) / 2
            fits = space.relative_macs(space.counts(np.minimum(t * u, space.d_max))) <= limit
            cheap, dear = (t, dear) if fits else (cheap, t)
        found.append(space.counts(np.minimum(cheap * u, space.d_max)))
    return found


def greedy(space: Space, n: int) -> list[Counts]:
    """For every uniform entry the dearest vector within its cost on the greedy path.

    The path starts at the zero vector; each step drops one more filter (of every block) of the group in which
    that saves the most MACs per filter, the first such group where several do. A group keeps at least as
    many as the thinnest uniform vector leaves it.
    """
    floor = uniform(space, n)[-1]
    path = [space.structure.full_counts()]
    while True:
        steps = {}
        for g in space.thinnable:
            blocks = space.structure.groups[g].blocks
            if path[-1][g] - blocks >= floor[g]:
                counts = tuple(c - blocks * (i == g) for i, c in enumerate(path[-1]))
                saved = space.relative_macs(path[-1]) - space.relative_macs(counts)
                steps[counts] = saved / blocks
        if not steps:
            break
        path.append(max(steps, key=lambda counts: steps[counts]))
    costs = [space.relative_macs(counts) for counts in path]
    limits = [space.relative_macs(entry) for entry in uniform(space, n)]
    return [next(c for c, macs in zip(path, costs, strict=True) if macs <= limit) for limit in limits]


def searched(space: Space, path: Path) -> list[Counts]:
    """The vectors of a front file."""
    return [space.counts(np.array(entry["rates"])) for entry in json.loads(path.read_text())["entries"]]
