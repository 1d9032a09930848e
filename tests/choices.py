"""How the clients of the tests choose their steps."""

from __future__ import annotations

from distreal_sim.client.schedule import Choice, Choose, Moment
from distreal_sim.client.traffic import Traffic
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.levels import Level, PerStep


def levels_of(front: Front) -> PerStep:
    """The entries of a front, each with as many MACs as it says."""
    nothing = Traffic(0, 0)
    return PerStep(tuple(Level(e.counts, e.macs, nothing, share=e.share) for e in front.entries))


def from_front(front: Front) -> Choose:
    """Every step takes what `PerStep` takes of the entries of a front."""
    levels = levels_of(front)

    def choose(moment: Moment) -> Choice:
        level = levels.now(moment, levels.levels[0])
        return Choice(level.counts, level.macs_per_example)

    return choose
