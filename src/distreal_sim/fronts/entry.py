"""One row of the Pareto table: a dropout vector, its share of the planned examples, its costs and score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.codecs.plain import plain_bytes
from distreal_sim.thinning.cost import forward_macs, n_parameters, training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Counts, Structure


@dataclass(frozen=True)
class Entry:
    """One dropout vector, and the share of the planned examples that are trained with it.

    rates: (L,) fraction dropped of each addressed group; counts: (G,) kept channels of every group;
    macs: training MACs per example, forward and backward; score: convergence speed, larger is better;
    score_error: its standard error, where it was measured; forward_macs: the part of macs that is forward;
    n_parameters: of the sub-network; share: in (0, 1], 1 for all steps, less for fewer steps; memory_bytes:
    peak of a training step, where the front was made for memory too. Raises InputError for another share.
    """

    rates: tuple[float, ...]
    counts: Counts
    macs: int
    score: float
    score_error: float | None = None
    forward_macs: int = 0
    n_parameters: int = 0
    share: float = 1.0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share {self.share} must be in (0, 1]")

    @property
    def macs_per_planned_example(self) -> float:
        """Cost of the entry, by which it is looked up; the examples that are left out cost nothing."""
        return self.share * self.macs

    def no_worse_than(self, other: Entry) -> bool:
        """Whether it costs no more, in memory neither where that is known, and has no lower score."""
        memory, others = self.memory_bytes or 0, other.memory_bytes or 0
        cheap = self.macs_per_planned_example <= other.macs_per_planned_example and memory <= others
        return cheap and self.score >= other.score

    @property
    def backward_macs(self) -> int:
        """MACs of the backward pass on one example."""
        return self.macs - self.forward_macs

    @property
    def model_bytes(self) -> int:
        """Bytes of the sub-network's parameters in float32."""
        return plain_bytes([self.n_parameters])

    def keep_rate(self, full: Counts) -> float:
        """Mean kept share of the coupling groups; full: (G,) their channels."""
        return float(np.mean(np.array(self.counts) / np.array(full))) if full else 1.0


def make_entry(
    structure: Structure,
    thinnable: Sequence[int],
    rates: Sequence[float],
    score: float | None,
    score_error: float | None = None,
    share: float = 1.0,
    memory_bytes: int | None = None,
) -> Entry:
    """The entry of a dropout vector (L,), with its costs. score None: its relative cost.

    Raises InputError for rates that are none, or such a share.
    """
    counts = keep_counts(structure, rates, thinnable)
    macs = training_macs(structure, counts)
    if score is None:
        score = share * macs / training_macs(structure, structure.full_counts())
    return Entry(
        tuple(float(rate) for rate in rates),
        counts,
        macs,
        score,
        score_error,
        forward_macs(structure, counts),
        n_parameters(structure, counts),
        share,
        memory_bytes,
    )
