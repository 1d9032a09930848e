"""Every client has the same capacity, for ever."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed, Profile, Timeline, Timelines
from distreal_sim.devices.profiles._levels import Steady
from distreal_sim.devices.profiles._many import AllSteady


class Constant(Profile):
    """The same level for every client at every time."""

    level: float = Field(1.0, ge=0, description="capacity of every client")

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(self.level)

    def timelines(self, client_ids: np.ndarray, rngs: Keys, deadline_s: float) -> Timelines:
        return AllSteady(np.full(len(client_ids), self.level))

    def lower_bound(self) -> float:
        return self.level
