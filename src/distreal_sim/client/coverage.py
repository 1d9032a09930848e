"""Coverage: which channels a client's steps trained, their work, its bytes, and the matrices of a merge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from distreal_sim.codecs import Codec
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import FIXED, Axis, Counts, Structure


@dataclass(frozen=True, eq=False)
class Coverage:
    """Which of a client's finished steps kept which channels, and how much work each was.

    kept: for each coupling group (n_steps, channels) bool, or None where every step kept all channels;
    examples, macs: (n_steps,) int64, the examples of each step and the MACs that it was charged.
    """

    kept: tuple[np.ndarray | None, ...]
    examples: np.ndarray
    macs: np.ndarray

    @classmethod
    def of(
        cls,
        structure: Structure,
        masks: Sequence[Mask | None],
        examples: Sequence[int] | np.ndarray,
        macs: Sequence[int] | np.ndarray,
    ) -> Coverage:
        """The coverage of steps with these masks (n_steps; None keeps everything)."""
        kept: list[np.ndarray | None] = []
        for index, group in enumerate(structure.groups):
            of_steps = [None if mask is None else mask.kept[index] for mask in masks]
            if all(channels is None for channels in of_steps):
                kept.append(None)
                continue
            steps = np.zeros((len(masks), group.channels), bool)
            for row, channels in zip(steps, of_steps, strict=True):
                row[slice(None) if channels is None else channels] = True
            kept.append(steps)
        return cls(tuple(kept), np.array(examples, np.int64), np.array(macs, np.int64))

    @classmethod
    def empty(cls, structure: Structure) -> Coverage:
        """The coverage of a client that finished no step."""
        return cls((None,) * len(structure.groups), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def n_steps(self) -> int:
        """Finished steps."""
        return len(self.examples)

    @property
    def n_examples(self) -> int:
        """Number of examples that the finished steps trained on, repeats counted."""
        return int(self.examples.sum())

    def axis(self, axis: Axis) -> np.ndarray:
        """(n_steps, channels of the axis) float64: 1 where the step kept the channel."""
        parts = []
        for segment in axis:
            kept = None if segment.group == FIXED else self.kept[segment.group]
            parts.append(np.ones((self.n_steps, segment.size)) if kept is None else kept.astype(float))
        return np.concatenate(parts, axis=1)

    def widest(self, structure: Structure) -> np.ndarray:
        """(G,) int64 number of channels of each group that at least one step kept."""
        pairs = zip(structure.groups, self.kept, strict=True)
        return np.array(
            [g.channels if kept is None else kept.any(axis=0).sum() for g, kept in pairs], np.int64
        )


def keep_rate(structure: Structure, counts: Counts) -> float:
    """Share of channels kept, averaged over coupling groups; 1 where nothing can be dropped."""
    if not counts:
        return 1.0
    return float(np.mean(np.array(counts) / np.array(structure.full_counts())))


def mean_keep_rate(structure: Structure, steps: Sequence[Counts]) -> float:
    """`keep_rate`, averaged over steps; NaN without steps."""
    rates = {counts: keep_rate(structure, counts) for counts in set(steps)}
    # Added one by one: sum() rounds differently from Python 3.12 on.
    total = reduce(add, map(rates.__getitem__, steps), 0.0)
    return total / len(steps) if steps else math.nan


def most_bytes(codec: Codec, structure: Structure, n_steps: int) -> int:
    """Bytes of the coverage of n_steps steps if each step drops channels of every group."""
    return sum(codec.coverage_bytes(n_steps * group.channels) for group in structure.groups)


def sent_bytes(codec: Codec, structure: Structure, steps: Sequence[Counts]) -> int:
    """Bytes of a coverage; groups in which no step dropped channels are not sent."""
    if not steps:
        return 0
    least = np.min(steps, axis=0)
    channels = [g.channels for g, kept in zip(structure.groups, least, strict=True) if kept < g.channels]
    return sum(codec.coverage_bytes(len(steps) * n) for n in channels)
