"""Sub-models of one width in every layer, fixed for a round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from distreal_sim.client.task import Task
from distreal_sim.submodels.levels import PerRound, width_level
from distreal_sim.thinning.masks import Mask, first_mask
from distreal_sim.thinning.structure import Counts, Structure

Rounding = Literal["floor", "ceil"]
Share = Annotated[float, Field(gt=0, le=1)]

MOST_LEVELS = 256
"""Levels beyond which widths differ by less than a channel of most layers."""


def equally_spaced(value: Any) -> Any:
    """The widths 1, (n - 1) / n, ..., 1 / n of a whole number n; a list as it is.

    Raises ValueError for anything else.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_LEVELS:
        raise ValueError(f"a list of widths, like [1, 0.5], or a number of levels from 1 to {MOST_LEVELS}")
    return tuple(k / value for k in range(value, 0, -1))


Widths = Annotated[
    tuple[Share, ...],
    Field(min_length=1),
    BeforeValidator(
        equally_spaced,
        json_schema_input_type=Annotated[int, Field(ge=1, le=MOST_LEVELS)]
        | Annotated[tuple[Share, ...], Field(min_length=1)],
    ),
]
"""An option that takes a list of widths, or a number n of equally spaced ones, i / n.

Not halved ones: the 16th halving keeps 1 of 32,768 channels, so that most of 16 levels would be the same.
"""

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
