"""Device classes: each client belongs to one tier for ever."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed, Profile, Timeline, Timelines
from distreal_sim.devices.profiles._levels import Level, Shares, Steady, cumulative
from distreal_sim.devices.profiles._many import AllSteady


class Tiers(Profile):
    """Each client draws its level once, with the given shares (equal ones if none are given)."""

    levels: tuple[Level, ...] = Field(min_length=1, description="capacity of each tier")
    shares: Shares = Field((), description="probability of each tier, summing to 1; equal if not given")

    @model_validator(mode="after")
    def _check(self) -> Tiers:
        cumulative(self.levels, self.shares)
        return self

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        steps = cumulative(self.levels, self.shares)
        return Steady(self.levels[int(np.searchsorted(steps, rng("tier").random(), side="right"))])

    def timelines(self, client_ids: np.ndarray, rngs: Keys, deadline_s: float) -> Timelines:
        steps = cumulative(self.levels, self.shares)
        drawn = rngs("tier", client_ids).random()
        return AllSteady(np.array(self.levels)[np.searchsorted(steps, drawn, side="right")])

    def lower_bound(self) -> float:
        return min(self.levels)
