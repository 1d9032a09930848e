"""The Pareto table: dropout vectors, what a training step with them costs, and how fast they learn.

A device looks up the best vector that its budget allows; nothing is computed at run time.
"""

from __future__ import annotations

import hashlib
import json
import operator
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from distreal_sim.errors import InputError
from distreal_sim.files import write_atomically
from distreal_sim.thinning.macs import training_macs
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.structure import Structure
from distreal_sim.types import Counts

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One dropout vector.

    rates: (L,) fraction dropped of each addressed group; counts: (G,) kept channels of every group;
    macs: training MACs per example, forward and backward; score: convergence speed, larger is better;
    score_error: its standard error, where it was measured.
    """

    rates: tuple[float, ...]
    counts: Counts
    macs: int
    score: float
    score_error: float | None = None

    def plain(self) -> dict[str, Any]:
        """The entry as it stands in a front file."""
        data = {"rates": self.rates, "kept": self.counts, "macs_per_example": self.macs, "score": self.score}
        return data if self.score_error is None else {**data, "score_error": self.score_error}


@dataclass(frozen=True)
class Front:
    """Non-dominated entries, cheapest first; the last one is the zero vector.

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
        """Index of the entry of highest score with macs <= budget_macs (MACs per example).

        Score grows with cost along a front, so that is the dearest entry that fits; 0, the cheapest entry,
        where nothing fits.
        """
        return max(0, bisect_right(self._macs, budget_macs) - 1)

    def save(self, path: Path) -> None:
        """Writes the front as JSON."""
        data = {
            "format": FORMAT,
            "model": self.model,
            "groups": self.groups,
            "made": dict(self.made),
            "entries": [entry.plain() for entry in self.entries],
        }
        write_atomically(path, json.dumps(data, indent=1).encode())


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
    Dominated and repeated candidates are left out. The zero vector is always an entry: as the dearest one it
    gets the best score of all, so that an unlimited device trains the full network, whatever was measured.
    """
    full = structure.full_counts()
    full_macs = training_macs(structure, full)
    candidates = []
    for index, vector in enumerate(np.asarray(rates, float)):
        counts = keep_counts(structure, vector, thinnable)
        macs = training_macs(structure, counts)
        score = macs / full_macs if scores is None else float(scores[index])
        error = None if errors is None else float(errors[index])
        candidates.append(Entry(tuple(float(r) for r in vector), counts, macs, score, error))
    best = 1.0 if scores is None else max((e.score for e in candidates), default=0.0)
    zero_error = next((e.score_error for e in candidates if e.counts == full), None)
    zero = Entry((0.0,) * len(thinnable), full, full_macs, best, zero_error)
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


def load_front(path: Path, structure: Structure, thinnable: Sequence[int], model: str) -> Front:
    """Reads a front and checks that it was made for this network and these groups.

    Raises InputError naming the file and what is wrong with it.
    """
    front = read_front(path)
    if front.model != model:
        made_for = f" ({front.made['model']})" if "model" in front.made else ""
        raise InputError(
            f"front {path} was made for another model{made_for}: its fingerprint is {front.model}, "
            f"that of this run's model is {model}; make a front for this model, or take "
            "method.front={uniform: 16}"
        )
    groups = tuple(structure.groups[g].name for g in thinnable)
    if front.groups != groups:
        raise InputError(
            f"front {path} has rates for the layers {', '.join(front.groups)}, but this run thins "
            f"{', '.join(groups)}; set method.drop_linear as it was when the front was made"
        )
    for number, entry in enumerate(front.entries, 1):
        where = f"front {path}, entry {number}"
        try:
            counts = keep_counts(structure, entry.rates, thinnable)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if counts != entry.counts:
            raise InputError(f"{where}: kept is {list(entry.counts)}, but its rates keep {list(counts)}")
        macs = training_macs(structure, counts)
        if macs != entry.macs:
            raise InputError(f"{where}: macs_per_example is {entry.macs}, but its rates cost {macs}")
    if not all(a.macs < b.macs and a.score <= b.score for a, b in pairwise(front.entries)):
        raise InputError(f"front {path}: macs_per_example and score must grow from entry to entry")
    if not front.entries or any(front.entries[-1].rates):
        raise InputError(f"front {path}: the last entry must be the zero vector (all rates 0)")
    return front


def read_front(path: Path) -> Front:
    """Reads a front, whatever network it was made for. Raises InputError if the file is none."""
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, this version reads {FORMAT}")
        entries = tuple(
            Entry(
                tuple(float(rate) for rate in e["rates"]),
                tuple(operator.index(n) for n in e["kept"]),
                operator.index(e["macs_per_example"]),
                float(e["score"]),
                None if e.get("score_error") is None else float(e["score_error"]),
            )
            for e in data["entries"]
        )
        return Front(entries, str(data["model"]), tuple(data["groups"]), dict(data["made"]))
    except FileNotFoundError:
        raise InputError(f"front {path}: no such file") from None
    except KeyError as error:
        raise InputError(f"front {path} is not a front file: key {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"front {path} is not a front file, or damaged: {error}") from None
