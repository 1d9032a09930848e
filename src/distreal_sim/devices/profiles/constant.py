"""One constant capacity for all clients."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Constant(Profile):
    """The same level for every client at every time."""

    level: float = Field(1.0, ge=0, description="capacity of every client")

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Steady:
        return Steady(self.level)

    def lower_bound(self) -> float:
        return self.level
