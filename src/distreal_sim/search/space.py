"""The dropout vectors that a search chooses from, and their costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from distreal_sim.search.pareto import Point
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Counts, Structure

FINEST = 1000
"""Uniform rates that are tried to find the largest one allowed."""


class Pair(NamedTuple):
    """What a front has entries of: the kept channels of a vector, and the share of the steps it is for."""

    counts: Counts
    share: float = 1.0


@dataclass(frozen=True)
class Space:
    """Rates in [0, d_max] for each of the L groups in `thinnable`.

    Vectors that keep equally many channels of every group are one candidate, known by its counts (G,).
    smallest: least relative training MACs of a candidate that is allowed; peak_bytes: of a training step,
    where memory is an objective.
    """

    structure: Structure
    thinnable: tuple[int, ...]
    d_max: float
    smallest: float = 0.0
    peak_bytes: Callable[[Counts], int] | None = None

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

    def cost(self, pair: Pair) -> float:
        """Training MACs per planned example, relative to the full network's."""
        return pair.share * self.relative_macs(pair.counts)

    def relative_memory(self, counts: Counts) -> tuple[float, ...]:
        """Peak bytes of a training step relative to the full network's; () where they are no objective."""
        if self.peak_bytes is None:
            return ()
        return (self.peak_bytes(counts) / self.peak_bytes(self.structure.full_counts()),)

    def told_memory(self, counts: Counts) -> dict[str, float]:
        """The same by its name in files."""
        return dict(zip(["relative_memory"], self.relative_memory(counts), strict=False))

    def point(self, pair: Pair, score: float) -> Point:
        """The objectives of a pair with this score."""
        return (self.cost(pair), *self.relative_memory(pair.counts), score)

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

    def streams(self) -> tuple[int, ...]:
        """Groups in `thinnable` whose channels several layers produce: the sums of a residual network.

        A depthwise convolution hands on its input's channels and produces none.
        """
        depthwise = {o.module for o in self.structure.overrides if o.attribute == "groups"}
        producers: dict[int, set[str]] = {g: set() for g in self.thinnable}
        for layer in self.structure.layers:
            axes = self.structure.tensors[layer.weight].axes
            made = axes[1 if layer.weight in self.structure.transposed else 0]
            for segment in made if layer.module not in depthwise else ():
                producers.get(segment.group, set()).add(layer.weight)
        return tuple(g for g in self.thinnable if len(producers[g]) > 1)

    def inner(self, n: int) -> list[Counts]:
        """At most n candidates that thin the filters inside of residual blocks only, all at one rate.

        Streams keep everything. Rates are equally spaced above 0, up to d_max; the candidates are allowed
        ones. None where the network has no streams, or nothing else.
        """
        streams = self.streams()
        thinned = np.array([g not in streams for g in self.thinnable])
        if n < 1 or thinned.all() or not thinned.any():
            return []
        spaced = (self.counts(thinned * rate) for rate in np.linspace(0.0, self.d_max, n + 1)[1:])
        return list(dict.fromkeys(counts for counts in spaced if self.allows(counts)))
