"""How the clients of the tests choose their steps."""

from __future__ import annotations

from distreal_sim.client.schedule import Choice, Choose, Moment
from distreal_sim.client.traffic import Traffic
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.levels import Level, PerStep


def from_front(front: Front) -> Choose:
    """Every step takes what `PerStep` takes of the entries of a front, which has as many MACs as it says."""
    levels = PerStep(tuple(Level(entry.counts, entry.macs, Traffic(0, 0)) for entry in front.entries))

    def choose(moment: Moment) -> Choice:
        level = levels.now(moment, levels.levels[0])
        return Choice(level.counts, level.macs_per_example)

    return choose
