"""Sub-models of one width in every layer, fixed for a round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from distreal_sim.client.task import Task
from distreal_sim.submodels.levels import PerRound, width_level
from distreal_sim.thinning.masks import Mask, first_mask
from distreal_sim.thinning.structure import Counts, Structure

Rounding = Literal["floor", "ceil"]
Share = Annotated[float, Field(gt=0, le=1)]

HALVES = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""HeteroFL's levels a to e, which FedRolex has taken over."""

SLACK = 1e-9
"""Rounding error of a product that counts as whole, such as 0.2 * 15 = 3.0000000000000004."""


def width_counts(structure: Structure, share: float, rounding: Rounding) -> Counts:
    """(G,) channels of each hidden group at a width of `share` of them, at least one (of each block)."""
    counts = []
    for group in structure.groups:
        exact = share * (group.channels // group.blocks)
        rounded = math.ceil(exact - SLACK) if rounding == "ceil" else math.floor(exact + SLACK)
        counts.append(group.blocks * max(1, rounded))
    return tuple(counts)


def of_widths(task: Task, shares: Sequence[float], rounding: Rounding) -> PerRound:
    """The sub-models of these widths, of which a client takes the largest that fits."""
    counts = [width_counts(task.structure, share, rounding) for share in shares]
    return PerRound(tuple(width_level(task, own) for own in counts))


def prefix_masks(structure: Structure) -> Callable[[int, Counts], Mask]:
    """The first channels of each layer, in every step."""
    known: dict[Counts, Mask] = {}

    def draw(step: int, counts: Counts) -> Mask:
        if counts not in known:
            known[counts] = first_mask(structure, counts)
        return known[counts]

    return draw
