"""Every client has the same capacity, for ever."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.profiles import Keyed, Profile, Timeline
from distreal_sim.profiles._levels import Steady


class Constant(Profile):
    """The same level for every client at every time."""

    level: float = Field(1.0, ge=0, description="capacity of every client")

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(self.level)

    def lower_bound(self) -> float:
        return self.level
