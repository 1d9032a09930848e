"""The dropout vectors that a search chooses from, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from distreal_sim.thinning.macs import training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Structure
from distreal_sim.types import Counts

FINEST = 1000
"""Uniform rates that are tried to find the largest one allowed."""


@dataclass(frozen=True)
class Space:
    """Rates in [0, d_max], one for each of the groups in `thinnable`, or L < len(thinnable) shared ones.

    Vectors that keep equally many channels of every group are one candidate, known by its counts (G,).
    smallest: least relative training MACs of a candidate that is allowed. shared: which of the rates each
    thinnable group has, 0 to L - 1; groups with one rate have equally many channels. None: each its own.
    """

    structure: Structure
    thinnable: tuple[int, ...]
    d_max: float
    smallest: float = 0.0
    shared: tuple[int, ...] | None = None

    @property
    def n_rates(self) -> int:
        """L."""
        return len(self.thinnable) if self.shared is None else 1 + max(self.shared)

    def coarse(self) -> Space:
        """The vectors in which groups that are alike have one rate.

        Alike: equally many channels, first produced at the same resolution, both by one layer or both by
        several (the stream of a residual network). In a deep network that is a rate for each role of a layer
        in each stage.
        """
        roles = [_role(self.structure, group) for group in self.thinnable]
        order = list(dict.fromkeys(roles))
        return replace(self, shared=tuple(order.index(role) for role in roles))

    def counts(self, rates: np.ndarray) -> Counts:
        """Kept channels of every group; rates: (L,)."""
        own = rates if self.shared is None else rates[list(self.shared)]
        return keep_counts(self.structure, own, self.thinnable)

    def rates(self, counts: Counts) -> np.ndarray:
        """(L,) the one vector that stands for a candidate: 1 - kept / channels, d_max at most."""
        full = self.structure.full_counts()
        own = [min(self.d_max, 1 - counts[g] / full[g]) for g in self.thinnable]
        return np.array(
            own if self.shared is None else [own[self.shared.index(i)] for i in range(self.n_rates)]
        )

    def snap(self, rates: np.ndarray) -> np.ndarray:
        """(M, L) vectors that stand for the same candidates as the given (M, L)."""
        clipped = np.clip(rates, 0.0, self.d_max)
        return np.array([self.rates(self.counts(vector)) for vector in clipped]).reshape(rates.shape)

    def relative_macs(self, counts: Counts) -> float:
        """Training MACs per example, relative to the full network's."""
        full = training_macs(self.structure, self.structure.full_counts())
        return training_macs(self.structure, counts) / full

    def allows(self, counts: Counts) -> bool:
        """Whether a candidate is not too small."""
        return self.relative_macs(counts) >= self.smallest

    def uniform(self, n: int) -> list[Counts]:
        """At most n candidates of one rate for all groups, equally spaced from 0 to the largest allowed.

        Fewer where neighbouring rates keep the same channels. The zero vector is the first.
        """
        top = max(
            rate
            for rate in np.linspace(0.0, self.d_max, FINEST)
            if self.allows(self.counts(np.full(self.n_rates, rate)))
        )
        spaced = np.linspace(0.0, top, n) if n > 1 else np.zeros(1)
        return list(dict.fromkeys(self.counts(np.full(self.n_rates, rate)) for rate in spaced))


def _role(structure: Structure, group: int) -> tuple[int, int, int, bool]:
    """Channels and blocks of a group, positions of its first producer, whether it has several."""
    made_by = [
        layer.positions
        for layer in structure.layers
        if any(segment.group == group for segment in structure.tensors[layer.weight].axes[0])
    ]
    one = structure.groups[group]
    return one.channels, one.blocks, made_by[0], len(made_by) > 1
