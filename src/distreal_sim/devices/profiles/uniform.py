"""Capacities drawn uniformly, once per client or again at regular times."""

from __future__ import annotations

from pydantic import Field, model_validator

from distreal_sim.devices.processes import Periodic, Steady, between
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import ChangesPerRound
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Uniform(Profile):
    """A client's level is base x factor.

    base ~ U(low, high) is drawn once; factor ~ U(1 - jitter, 1 + jitter) is redrawn `changes_per_round` times
    per round, at regular times.
    """

    low: float = Field(0.1, ge=0, allow_inf_nan=False, description="smallest base level")
    high: float = Field(1.0, ge=0, allow_inf_nan=False, description="largest base level")
    jitter: float = Field(0.0, ge=0, le=1, description="half-width of the factor that changes with time")
    changes_per_round: ChangesPerRound = Field(0.0, description="redraws per deadline_s; 0: never")

    @model_validator(mode="after")
    def _check(self) -> Uniform:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not exceed high ({self.high:g})")
        if (self.jitter > 0) != (self.changes_per_round > 0):
            raise ValueError(
                f"jitter ({self.jitter:g}) and changes_per_round ({self.changes_per_round:g}) go together: "
                "give both or neither"
            )
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Periodic | Steady:
        base = between(self.low, self.high, rng("base").random())
        if not self.changes_per_round:
            return Steady(base)
        period_s = deadline_s / self.changes_per_round
        return Periodic(period_s, rng, lambda drawn: between(1 - self.jitter, 1 + self.jitter, drawn), base)

    def lower_bound(self) -> float:
        return self.low * (1 - self.jitter)
