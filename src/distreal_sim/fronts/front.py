"""The Pareto table: dropout vectors, how many of the planned examples each is for, and the speed of learning.

A device looks up the best entry that its budget allows; nothing is computed at run time.
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
from distreal_sim.fronts.entry import Entry, make_entry
from distreal_sim.thinning.structure import Structure

FORMAT = 3

REFERENCE_MACS = 1.05
"""A hypervolume is the area between a front and (1.05, 0), relative to the zero vector's MACs and score."""


@dataclass(frozen=True)
class Front:
    """Non-dominated entries, cheapest first, and the zero vector with share 1 as the last one.

    model: fingerprint of the network it was made for; groups: names of the L addressed groups;
    made: how it was made.
    """

    entries: tuple[Entry, ...]
    model: str
    groups: tuple[str, ...]
    made: Mapping[str, Any]

    @cached_property
    def _costs(self) -> list[float]:
        return [entry.macs_per_planned_example for entry in self.entries]

    def lookup(self, budget_macs: float) -> int:
        """Index of the most expensive entry that costs at most budget_macs; 0 where nothing fits.

        budget_macs, costs: per planned example. Score grows with cost along a front, but for the zero vector,
        which whoever can afford it gets.
        """
        return max(0, bisect_right(self._costs, budget_macs) - 1)

    @property
    def has_shares(self) -> bool:
        """Whether some entry is for fewer than all planned examples."""
        return any(entry.share < 1 for entry in self.entries)

    @property
    def thins(self) -> bool:
        """Whether some entry drops anything."""
        return any(entry.counts != self.entries[-1].counts for entry in self.entries)

    @property
    def vectors(self) -> list[Entry]:
        """The first entry of each dropout vector, cheapest step first."""
        by_counts = {entry.counts: entry for entry in reversed(self.entries)}
        return sorted(by_counts.values(), key=lambda entry: entry.macs)

    @property
    def hypervolume(self) -> float | None:
        """Area dominated by the entries, down to (1.05, 0); None unless the zero vector's score is > 0.

        Costs are relative to the zero vector's, scores too.
        """
        full = self.entries[-1] if self.entries else None
        if full is None or not full.score > 0:
            return None
        edges = [cost / full.macs for cost in self._costs] + [REFERENCE_MACS]
        height = area = 0.0
        for entry, (macs, edge) in zip(self.entries, pairwise(edges), strict=True):
            height = max(height, entry.score / full.score)
            area += (edge - macs) * height
        return area

    @property
    def content(self) -> str:
        """16 hex digits that identify the front's effect on a run: its content except `made`.

        A share of 1 does not count, so a front without shares is identified by its vectors and scores.
        """
        told = [(e.rates, e.counts, e.score, *([e.share] if e.share != 1 else [])) for e in self.entries]
        return hashlib.sha256(json.dumps([self.model, self.groups, told]).encode()).hexdigest()[:16]

    @property
    def origin(self) -> str:
        """Where it is from, in a few words."""
        how = str(self.made.get("how", "of unknown origin"))
        return f"bundled front {self.made['bundled']}, {how}" if "bundled" in self.made else how

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
                    "share": entry.share,
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


def make_front(
    structure: Structure,
    thinnable: Sequence[int],
    rates: np.ndarray,
    scores: Sequence[float] | None,
    *,
    errors: Sequence[float] | None = None,
    shares: Sequence[float] | np.ndarray | None = None,
    model: str,
    made: Mapping[str, Any],
) -> Front:
    """The front of candidates: vectors, each for all planned examples or for a share of them.

    rates: (M, L); scores: (M,), or None for relative costs; errors: (M,) standard errors of the scores;
    shares: (M,) in (0, 1], or None for 1. Dominated and repeated candidates are left out, but the zero vector
    with share 1 is always the last entry, whatever its score, so that an unlimited device trains the full
    network in all steps. Where it is no candidate, it gets the best score of all.
    """
    full = structure.full_counts()
    candidates = [
        make_entry(
            structure,
            thinnable,
            vector,
            None if scores is None else float(scores[index]),
            None if errors is None else float(errors[index]),
            1.0 if shares is None else float(shares[index]),
        )
        for index, vector in enumerate(np.asarray(rates, float))
    ]
    best = None if scores is None else max((e.score for e in candidates), default=0.0)
    zero_rates = (0.0,) * len(thinnable)
    candidates = [replace(e, rates=zero_rates) if e.counts == full else e for e in candidates]
    whole = [e for e in candidates if e.counts == full and e.share == 1]
    zero = max(whole, key=lambda e: e.score, default=make_entry(structure, thinnable, zero_rates, best))
    entries: list[Entry] = []
    for entry in sorted(candidates, key=lambda e: (e.macs_per_planned_example, -e.score)):
        cheaper = entry.macs_per_planned_example < zero.macs_per_planned_example
        if cheaper and (not entries or entry.score > entries[-1].score):
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
