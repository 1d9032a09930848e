"""The Pareto table: dropout vectors, how many of the planned examples each is for, and the speed of learning.

A device looks up the best entry that its budget allows; nothing is computed at run time. A front made for
memory too also holds vectors that others beat in MACs and score, but which take less memory.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from distreal_sim.base.files import write_atomically
from distreal_sim.base.text import percent
from distreal_sim.fronts.entry import Entry, make_entry
from distreal_sim.thinning.structure import Structure

FORMAT = 3

REFERENCE_COST = 1.05
"""A hypervolume is the area between a front and (1.05, 0), relative to the zero vector's MACs and score; the
volume up to (1.05, 1.05, 0) where entries have memory.
"""

UNIFORM = "uniform rates"
"""How a front of them is made, in its file."""

WIDE = 0.25
"""Relative MACs between two entries from which on users are told of the gap."""


@dataclass(frozen=True)
class Front:
    """Non-dominated entries, by MACs, then memory, and the zero vector with share 1 as the last one.

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
        """Index of the entry of highest rank that costs at most budget_macs; 0 where nothing fits.

        budget_macs, costs: per planned example, before the first step. Who can afford the zero vector gets
        it.
        """
        return self._best[max(0, bisect_right(self._costs, budget_macs) - 1)]

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """Place of each entry when they are sorted by score, the zero vector last: of those that a device can
        afford it takes the one of highest rank. Score grows with cost where entries have no memory.
        """
        places = range(len(self.entries))
        if not self.has_memory:
            return tuple(places)
        order = sorted(places[:-1], key=lambda i: (self.entries[i].score, -i))
        return (*(order.index(i) for i in places[:-1]), places[-1])

    @cached_property
    def _best(self) -> list[int]:
        """Of each entry and those before it, the one of highest rank."""
        return [self.ranks.index(rank) for rank in accumulate(self.ranks, max)]

    @property
    def has_memory(self) -> bool:
        """Whether it was made for memory too."""
        return any(entry.memory_bytes is not None for entry in self.entries)

    @property
    def fastest(self) -> Front:
        """The entries among which devices with enough memory choose; all where entries have no memory."""
        if not self.has_memory:
            return self
        chosen = (replace(self.entries[i], memory_bytes=None) for i in dict.fromkeys(self._best))
        return replace(self, entries=tuple(chosen))

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
    def is_uniform(self) -> bool:
        """Whether it was made of uniform rates, without a search."""
        return self.made.get("how") == UNIFORM

    @property
    def wide_gap(self) -> tuple[float, float] | None:
        """Relative MACs of the entries on either side of the widest gap; None if it is narrower than WIDE.

        After an entry of the full network there is none: clients take as many of its steps as they can.
        """
        entries, full = self.fastest.entries, self.entries[-1]
        gaps = [
            (before.macs_per_planned_example / full.macs, after.macs_per_planned_example / full.macs)
            for before, after in pairwise(entries)
            if before.counts != full.counts
        ]
        low, high = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0))
        return (low, high) if high - low >= WIDE else None

    @property
    def hypervolume(self) -> float | None:
        """Area dominated by the entries, down to (1.05, 0); None unless the zero vector's score is > 0.

        Costs are relative to the zero vector's, scores too. The volume down to (1.05, 1.05, 0) where entries
        have memory: a sum over memory of the area of those entries that fit.
        """
        full = self.entries[-1] if self.entries else None
        if full is None or not full.score > 0:
            return None
        if not full.memory_bytes:
            return _area(self.entries, full)
        sizes = sorted({e.memory_bytes or 0 for e in self.entries})
        edges = [n / full.memory_bytes for n in sizes] + [REFERENCE_COST]
        volume = 0.0
        for n, (low, high) in zip(sizes, pairwise(edges), strict=True):
            fitting = [e for e in self.entries if (e.memory_bytes or 0) <= n]
            volume += (high - low) * _area(fitting, full)
        return volume

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
                    **({"peak_memory_bytes": entry.memory_bytes} if self.has_memory else {}),
                    "score": entry.score,
                    "score_error": entry.score_error,
                }
                for entry in self.entries
            ],
        }

    def save(self, path: Path) -> None:
        """Writes the front as JSON."""
        write_atomically(path, json.dumps(self.plain(), indent=1).encode())


def gap_line(low: float, high: float) -> str:
    """A gap in words."""
    return f"no entry between {percent(low)} and {percent(high)} of the full MACs"


def make_front(
    structure: Structure,
    thinnable: Sequence[int],
    rates: np.ndarray,
    scores: Sequence[float] | None,
    *,
    errors: Sequence[float] | None = None,
    shares: Sequence[float] | np.ndarray | None = None,
    memory_bytes: Sequence[int] | None = None,
    model: str,
    made: Mapping[str, Any],
) -> Front:
    """The front of candidates: vectors, each for all planned examples or for a share of them.

    rates: (M, L); scores: (M,), or None for relative costs; errors: (M,) standard errors of the scores;
    shares: (M,) in (0, 1], or None for 1; memory_bytes: (M,) peaks of a step, where memory is an objective.
    With them the zero vector must be a candidate. Dominated and repeated candidates are left out, but the
    zero vector with share 1 is always the last entry, whatever its score, so that an unlimited device trains
    the full network in all steps. Where it is no candidate, it gets the best score of all.
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
            None if memory_bytes is None else int(memory_bytes[index]),
        )
        for index, vector in enumerate(np.asarray(rates, float))
    ]
    best = None if scores is None else max((e.score for e in candidates), default=0.0)
    zero_rates = (0.0,) * len(thinnable)
    candidates = [replace(e, rates=zero_rates) if e.counts == full else e for e in candidates]
    whole = [e for e in candidates if e.counts == full and e.share == 1]
    zero = max(whole, key=lambda e: e.score, default=make_entry(structure, thinnable, zero_rates, best))
    entries: list[Entry] = []

    def order(entry: Entry) -> tuple[float, ...]:
        return entry.macs_per_planned_example, entry.memory_bytes or 0, -entry.score

    for entry in sorted(candidates, key=order):
        cheaper = entry.macs_per_planned_example < zero.macs_per_planned_example
        if cheaper and not any(other.no_worse_than(entry) for other in entries):
            entries.append(entry)
    assert memory_bytes is None or zero.memory_bytes is not None
    names = tuple(structure.groups[g].name for g in thinnable)
    return Front((*entries, zero), model, names, made)


def _area(entries: Sequence[Entry], full: Entry) -> float:
    """Area between entries, cheapest first, and (1.05, 0)."""
    edges = [entry.macs_per_planned_example / full.macs for entry in entries] + [REFERENCE_COST]
    height = area = 0.0
    for entry, (macs, edge) in zip(entries, pairwise(edges), strict=True):
        height = max(height, entry.score / full.score)
        area += (edge - macs) * height
    return area


def uniform_rates(n_entries: int, n_groups: int) -> np.ndarray:
    """(n_entries, L): the same rate in every group, 0, 1/n, ..., (n-1)/n."""
    return np.repeat(np.arange(n_entries)[:, None] / n_entries, n_groups, axis=1)


def fingerprint(module: nn.Module) -> str:
    """16 hex digits that identify a network by the names and shapes of its parameters."""
    shapes = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]
