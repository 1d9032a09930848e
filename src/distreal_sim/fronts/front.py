"""The Pareto table: dropout vectors, the cost of a training step with each, and their speed of learning.

A device looks up the best vector that its budget allows; nothing is computed at run time.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from distreal_sim.base.files import write_atomically
from distreal_sim.codecs.plain import plain_bytes
from distreal_sim.thinning.cost import forward_macs, n_parameters, training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Counts, Structure

FORMAT = 2

REFERENCE_MACS = 1.05
"""A hypervolume is the area between a front and (1.05, 0), relative to the zero vector's MACs and score."""


@dataclass(frozen=True)
class Entry:
    """One dropout vector.

    rates: (L,) fraction dropped of each addressed group; counts: (G,) kept channels of every group;
    macs: training MACs per example, forward and backward; score: convergence speed, larger is better;
    score_error: its standard error, where it was measured; forward_macs: the part of macs that is forward;
    n_parameters: of the sub-network.
    """

    rates: tuple[float, ...]
    counts: Counts
    macs: int
    score: float
    score_error: float | None = None
    forward_macs: int = 0
    n_parameters: int = 0

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


@dataclass(frozen=True)
class Front:
    """Non-dominated entries, cheapest first, and the zero vector as the last one.

    model: fingerprint of the network it was made for; groups: names of the L addressed groups;
    made: how it was made.
    """

    entries: tuple[Entry, ...]
    model: str
    groups: tuple[str, ...]
    made: Mapping[str, Any]

    @cached_property
    def _macs(self) -> list[int]:
        return [entry.macs for entry in self.entries]

    def lookup(self, budget_macs: float) -> int:
        """Index of the most expensive entry with macs <= budget_macs (per example); 0 where nothing fits.

        Score grows with cost along a front, but for the zero vector, which whoever can afford it gets.
        """
        return max(0, bisect_right(self._macs, budget_macs) - 1)

    @property
    def hypervolume(self) -> float | None:
        """Area dominated by the entries, down to (1.05, 0); None unless the zero vector's score is > 0.

        MACs are relative to the zero vector's, scores too.
        """
        full = self.entries[-1] if self.entries else None
        if full is None or not full.score > 0:
            return None
        edges = [entry.macs / full.macs for entry in self.entries] + [REFERENCE_MACS]
        height = area = 0.0
        for entry, (macs, edge) in zip(self.entries, pairwise(edges), strict=True):
            height = max(height, entry.score / full.score)
            area += (edge - macs) * height
        return area

    @property
    def content(self) -> str:
        """16 hex digits that identify the front's effect on a run: its content except `made`."""
        vectors = [(entry.rates, entry.counts, entry.score) for entry in self.entries]
        return hashlib.sha256(json.dumps([self.model, self.groups, vectors]).encode()).hexdigest()[:16]

    @property
    def origin(self) -> str:
        """Where it is from, in a few words."""
        how = str(self.made.get("how", "of unknown origin"))
        return f"bundled front {self.made['bundled']}, {how}" if "bundled" in self.made else how

    @property
    def fresh_gain(self) -> str | None:
        """How much more hypervolume than uniform rates it has on fresh seeds; None where none were tried."""
        fresh = self.made.get("reevaluation")
        if fresh is None or "gain" not in fresh:
            return None
        low, high = fresh["gain_interval"]
        return (
            f"hypervolume {fresh['found']:.4f}, uniform rates {fresh['uniform']:.4f}: {fresh['gain']:+.1%}, "
            f"95 % interval {low:+.1%} to {high:+.1%}"
        )

    def plain(self) -> dict[str, Any]:
        """The front as plain values, as in its file."""
        return {
            "format": FORMAT,
            "model": self.model,
            "groups": list(self.groups),
            "hypervolume": self.hypervolume,
            "made": dict(self.made),
            "entries": [
                {
                    "rates": list(entry.rates),
                    "kept": list(entry.counts),
                    "keep_rate": entry.keep_rate(self.entries[-1].counts),
                    "macs_per_example": entry.macs,
                    "forward_macs_per_example": entry.forward_macs,
                    "backward_macs_per_example": entry.backward_macs,
                    "parameters": entry.n_parameters,
                    "bytes": entry.model_bytes,
                    "score": entry.score,
                    "score_error": entry.score_error,
                }
                for entry in self.entries
            ],
        }

    def save(self, path: Path) -> None:
        """Writes the front as JSON."""
        write_atomically(path, json.dumps(self.plain(), indent=1).encode())


def make_entry(
    structure: Structure,
    thinnable: Sequence[int],
    rates: Sequence[float],
    score: float | None,
    score_error: float | None = None,
) -> Entry:
    """The entry of a dropout vector (L,), with its costs. score None: its relative MACs.

    Raises InputError for rates that are none.
    """
    counts = keep_counts(structure, rates, thinnable)
    macs = training_macs(structure, counts)
    if score is None:
        score = macs / training_macs(structure, structure.full_counts())
    return Entry(
        tuple(float(rate) for rate in rates),
        counts,
        macs,
        score,
        score_error,
        forward_macs(structure, counts),
        n_parameters(structure, counts),
    )


def make_front(
    structure: Structure,
    thinnable: Sequence[int],
    rates: np.ndarray,
    scores: Sequence[float] | None,
    *,
    errors: Sequence[float] | None = None,
    model: str,
    made: Mapping[str, Any],
) -> Front:
    """The front of candidate vectors.

    rates: (M, L); scores: (M,), or None for relative MACs; errors: (M,) standard errors of the scores.
    Dominated and repeated candidates are left out, but the zero vector is always the last entry, whatever its
    score, so that an unlimited device trains the full network. Where it is no candidate, it gets the best
    score of all.
    """
    full = structure.full_counts()
    candidates = [
        make_entry(
            structure,
            thinnable,
            vector,
            None if scores is None else float(scores[index]),
            None if errors is None else float(errors[index]),
        )
        for index, vector in enumerate(np.asarray(rates, float))
    ]
    best = None if scores is None else max((e.score for e in candidates), default=0.0)
    zero_rates = (0.0,) * len(thinnable)
    whole = [replace(e, rates=zero_rates) for e in candidates if e.counts == full]
    zero = max(whole, key=lambda e: e.score, default=make_entry(structure, thinnable, zero_rates, best))
    entries: list[Entry] = []
    for entry in sorted(candidates, key=lambda e: (e.macs, -e.score)):
        if entry.macs < zero.macs and (not entries or entry.score > entries[-1].score):
            entries.append(entry)
    names = tuple(structure.groups[g].name for g in thinnable)
    return Front((*entries, zero), model, names, made)


def uniform_rates(n_entries: int, n_groups: int) -> np.ndarray:
    """(n_entries, L): the same rate in every group, 0, 1/n, ..., (n-1)/n."""
    return np.repeat(np.arange(n_entries)[:, None] / n_entries, n_groups, axis=1)


def fingerprint(module: nn.Module) -> str:
    """16 hex digits that identify a network by the names and shapes of its parameters."""
    shapes = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]
