"""A part of the network that is a network too."""

from __future__ import annotations

from dataclasses import dataclass

from distreal_sim.thinning.structure import Counts


@dataclass(frozen=True)
class SubModel:
    """The first channels of each group or, in a network with exits, the stages up to one of them.

    counts: (G,) kept channels; last_exit: number of the exit that it ends with (see `WithExits`), None for
    the network's own end.
    """

    counts: Counts
    last_exit: int | None = None
