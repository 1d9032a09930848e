"""From a dropout vector to kept channels: how many of each group, and which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.structure import Structure

Select = Literal["random", "ordered", "rolling"]
"""Filters that a step keeps: a random draw, the first ones, or a window that moves on every round."""


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

    def keeps_what(self, other: Mask) -> bool:
        """Whether another mask of the same network keeps the same channels."""
        return self is other or all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(self.kept, other.kept, strict=True)
        )

    def counts(self, structure: Structure) -> tuple[int, ...]:
        """(G,) kept channels of each group."""
        return tuple(
            group.channels if channels is None else len(channels)
            for group, channels in zip(structure.groups, self.kept, strict=True)
        )


def keep_counts(
    structure: Structure, rates: Sequence[float] | np.ndarray, thinnable: Sequence[int]
) -> tuple[int, ...]:
    """(G,) number of channels that each group keeps under a dropout vector; other groups keep all.

    rates: (L,) fraction dropped of each group in `thinnable`, in [0, 1). Of C channels
    max(1, floor((1 - d) C + 0.5 + 1e-9)) are kept; in groups with several blocks, that many in each block.
    Raises InputError for a vector of the wrong length or a rate outside [0, 1).
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
    return take(structure, _plain_orders(structure), counts)


def sample_mask(
    structure: Structure, counts: Sequence[int], rng: np.random.Generator, select: Select = "random"
) -> Mask:
    """Draws `counts` channels of each group: the mask of a step whose filters no other step shares.

    counts: (G,), from `keep_counts`.
    """
    return take(structure, draw_orders(structure, rng, select), counts)


def draw_orders(
    structure: Structure, rng: np.random.Generator, select: Select, first: int = 0
) -> list[np.ndarray]:
    """Orders of the channels of each group; steps keep the first channels of the order.

    (blocks, channels per block) int64 each: shuffled within the blocks (`random`), ascending (`ordered`), or
    ascending from channel `first` (modulo the block's size) with wrap-around (`rolling`). `random` draws one
    permutation per block from `rng`, the others draw nothing.
    """
    orders = _plain_orders(structure)
    if select == "rolling":
        return [np.roll(order, -(first % order.shape[1]), axis=1) for order in orders]
    return orders if select == "ordered" else [rng.permuted(order, axis=1) for order in orders]


def take(structure: Structure, orders: Sequence[np.ndarray], counts: Sequence[int]) -> Mask:
    """The mask of the first `counts` (G,) channels of each group's order; nested for growing counts."""
    kept = []
    for group, order, count in zip(structure.groups, orders, counts, strict=True):
        per_block = count // group.blocks
        kept.append(None if count == group.channels else np.sort(order[:, :per_block], axis=1).ravel())
    return Mask(tuple(kept))


def _plain_orders(structure: Structure) -> list[np.ndarray]:
    return [np.arange(group.channels).reshape(group.blocks, -1) for group in structure.groups]
