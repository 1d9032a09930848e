"""From a dropout vector to kept channels: how many of each group, and which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from distreal_sim.errors import InputError
from distreal_sim.thinning.structure import Group, Structure

Select = Literal["random", "ordered"]


@dataclass(frozen=True, eq=False)
class Mask:
    """The channels that one step keeps.

    kept: (G,) sorted int64 channel indices of each group; None: all of them.
    """

    kept: tuple[np.ndarray | None, ...]

    @property
    def is_full(self) -> bool:
        """Whether nothing is dropped."""
        return all(channels is None for channels in self.kept)

    def counts(self, structure: Structure) -> tuple[int, ...]:
        """(G,) kept channels of each group."""
        return tuple(
            group.channels if channels is None else len(channels)
            for group, channels in zip(structure.groups, self.kept, strict=True)
        )


def keep_counts(
    structure: Structure, rates: Sequence[float] | np.ndarray, thinnable: Sequence[int]
) -> tuple[int, ...]:
    """(G,) channels that each group keeps under a dropout vector; groups it does not address keep all.

    rates: (L,) fraction dropped of each group in `thinnable`, in [0, 1). Of C channels
    max(1, floor((1 - d) C + 0.5 + 1e-9)) are kept; in groups of several blocks, that many in each block.
    Raises InputError for a vector of another length or a rate outside [0, 1).
    """
    if len(rates) != len(thinnable):
        raise InputError(
            f"a dropout vector needs {len(thinnable)} rates, one per coupling group, not {len(rates)}"
        )
    counts = list(structure.full_counts())
    for rate, g in zip(rates, thinnable, strict=True):
        if not 0 <= rate < 1:
            raise InputError(f"drop rate {rate} of '{structure.groups[g].name}' must be in [0, 1)")
        group = structure.groups[g]
        size = group.channels // group.blocks
        counts[g] = group.blocks * max(1, math.floor((1 - float(rate)) * size + 0.5 + 1e-9))
    return tuple(counts)


def first_mask(structure: Structure, counts: Sequence[int]) -> Mask:
    """The first channels of each group (of each of its blocks); counts: (G,)."""
    kept = [
        None if n == group.channels else _first(group, n)
        for group, n in zip(structure.groups, counts, strict=True)
    ]
    return Mask(tuple(kept))


def sample_mask(
    structure: Structure, counts: Sequence[int], rng: np.random.Generator, select: Select = "random"
) -> Mask:
    """Draws `counts` channels of each group: uniformly without replacement, or the first ones (`ordered`).

    counts: (G,), from `keep_counts`. A group at full width takes nothing from `rng`; the others take one
    permutation each (of each block), in order.
    """
    if select == "ordered":
        return first_mask(structure, counts)
    kept: list[np.ndarray | None] = []
    for group, n in zip(structure.groups, counts, strict=True):
        if n == group.channels:
            kept.append(None)
        elif group.blocks > 1:
            kept.append(_by_block(group, n, rng))
        else:
            channels = rng.permutation(group.channels)[:n]
            channels.sort()
            kept.append(channels)
    return Mask(tuple(kept))


def _by_block(group: Group, n: int, rng: np.random.Generator) -> np.ndarray:
    size = group.channels // group.blocks
    within = rng.permuted(np.tile(np.arange(size), (group.blocks, 1)), axis=1)[:, : n // group.blocks]
    kept: np.ndarray = size * np.arange(group.blocks)[:, None] + np.sort(within, axis=1)
    return kept.ravel()


def _first(group: Group, n: int) -> np.ndarray:
    size = group.channels // group.blocks
    return (size * np.arange(group.blocks)[:, None] + np.arange(n // group.blocks)).ravel()
