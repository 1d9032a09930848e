"""The dropout vectors that a search chooses from, and their costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Counts, Structure

FINEST = 1000
"""Uniform rates that are tried to find the largest one allowed."""


@dataclass(frozen=True)
class Space:
    """Rates in [0, d_max] for each of the L groups in `thinnable`.

    Vectors that keep equally many channels of every group are one candidate, known by its counts (G,).
    smallest: least relative training MACs of a candidate that is allowed.
    """

    structure: Structure
    thinnable: tuple[int, ...]
    d_max: float
    smallest: float = 0.0

    def counts(self, rates: np.ndarray) -> Counts:
        """Kept channels of every group; rates: (L,)."""
        return keep_counts(self.structure, rates, self.thinnable)

    def rates(self, counts: Counts) -> np.ndarray:
        """(L,) the vector that represents a candidate: 1 - kept / channels, d_max at most."""
        full = self.structure.full_counts()
        return np.array([min(self.d_max, 1 - counts[g] / full[g]) for g in self.thinnable])

    def snap(self, rates: np.ndarray) -> np.ndarray:
        """(M, L) vectors that represent the same candidates as the given (M, L)."""
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
            if self.allows(self.counts(np.full(len(self.thinnable), rate)))
        )
        spaced = np.linspace(0.0, top, n) if n > 1 else np.zeros(1)
        return list(dict.fromkeys(self.counts(np.full(len(self.thinnable), rate)) for rate in spaced))
