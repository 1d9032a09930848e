"""Filters in an order, of which each step keeps the first ones; so that masks can outlive a mini-batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.thinning.masks import Mask, Select
from distreal_sim.thinning.structure import Structure


def draw_orders(structure: Structure, rng: np.random.Generator, select: Select) -> list[np.ndarray]:
    """One (blocks, channels per block) order of the channels of each group: shuffled, or as they are."""
    orders = []
    for group in structure.groups:
        order = np.arange(group.channels).reshape(group.blocks, -1)
        orders.append(order if select == "ordered" else rng.permuted(order, axis=1))
    return orders


def take(structure: Structure, orders: Sequence[np.ndarray], counts: Sequence[int]) -> Mask:
    """The mask of the first `counts` channels of each group's order; nested for growing counts."""
    kept = []
    for group, order, count in zip(structure.groups, orders, counts, strict=True):
        per_block = count // group.blocks
        kept.append(None if count == group.channels else np.sort(order[:, :per_block], axis=1).ravel())
    return Mask(tuple(kept))
