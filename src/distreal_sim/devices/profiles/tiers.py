"""Device classes: each client belongs to one tier for the whole run."""

from __future__ import annotations

from pydantic import Field, model_validator

from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import Level, Shares, cumulative, picker
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Tiers(Profile):
    """Each client draws its level once, with the given shares (equal shares if none are given)."""

    levels: tuple[Level, ...] = Field(
        min_length=1, examples=[(0.1, 0.5, 1.0)], description="capacity of each tier"
    )
    shares: Shares = Field((), description="probability of each tier, summing to 1; equal if not given")

    @model_validator(mode="after")
    def _check(self) -> Tiers:
        cumulative(self.levels, self.shares)
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Steady:
        return Steady(picker(self.levels, self.shares)(rng("tier").random()))

    def lower_bound(self) -> float:
        return min(self.levels)
