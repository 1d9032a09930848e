"""Capacities drawn uniformly, once per client or anew at regular times."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed, Profile, Timeline, Timelines
from distreal_sim.devices.profiles._levels import ChangesPerRound, Redrawn, Steady, between
from distreal_sim.devices.profiles._many import AllRedrawn, AllSteady


class Uniform(Profile):
    """A client's level is base x factor: base ~ U(low, high) drawn once, factor ~ U(1 - jitter, 1 + jitter)
    anew `changes_per_round` times a round, at regular times.
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

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        base = between(self.low, self.high, rng("base").random())
        if not self.changes_per_round:
            return Steady(base)
        return Redrawn(
            deadline_s / self.changes_per_round,
            lambda index: base * between(1 - self.jitter, 1 + self.jitter, rng("factor", index).random()),
        )

    def timelines(self, client_ids: np.ndarray, rngs: Keys, deadline_s: float) -> Timelines:
        base = between(self.low, self.high, rngs("base", client_ids).random())
        if not self.changes_per_round:
            return AllSteady(base)

        def draw(rows: np.ndarray, index: np.ndarray) -> np.ndarray:
            drawn = rngs("factor", client_ids[rows], index).random()
            levels: np.ndarray = base[rows] * between(1 - self.jitter, 1 + self.jitter, drawn)
            return levels

        return AllRedrawn(deadline_s / self.changes_per_round, draw)

    def lower_bound(self) -> float:
        return self.low * (1 - self.jitter)
