"""Capacities that jump between levels at random times, inside rounds too.

At the events of a Poisson process a client draws a fresh level: a continuous-time Markov chain whose
stationary distribution is `shares`. (A fresh draw may repeat the level that held.)
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed, Profile, Timeline, Timelines
from distreal_sim.devices.profiles._levels import (
    ChangesPerRound,
    Level,
    Refreshed,
    Shares,
    Steady,
    between,
    cumulative,
)
from distreal_sim.devices.profiles._many import AllRefreshed, AllSteady


class Markov(Profile):
    """Levels with shares; each client has a rate of change of its own."""

    levels: tuple[Level, ...] = Field(min_length=1, description="capacities that a client jumps between")
    shares: Shares = Field((), description="share of time in each level, summing to 1; equal if not given")
    changes_per_round: ChangesPerRound = Field(1.0, description="mean draws per deadline_s; 0: never")
    rate_spread: float = Field(
        1.0,
        ge=1,
        le=1000,
        description="a client's own rate is changes_per_round x a log-uniform factor in [1/spread, spread]",
    )

    @model_validator(mode="after")
    def _check(self) -> Markov:
        cumulative(self.levels, self.shares)
        return self

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        steps = cumulative(self.levels, self.shares)

        def draw(source: np.random.Generator) -> float:
            return self.levels[int(np.searchsorted(steps, source.random(), side="right"))]

        factor = self.rate_spread ** between(-1.0, 1.0, rng("rate").random())
        rate_per_s = self.changes_per_round * factor / deadline_s
        return Refreshed(rate_per_s, rng, draw) if rate_per_s > 0 else Steady(draw(rng("initial")))

    def timelines(self, client_ids: np.ndarray, rngs: Keys, deadline_s: float) -> Timelines:
        steps, levels = cumulative(self.levels, self.shares), np.array(self.levels)

        def draw(numbers: np.ndarray) -> np.ndarray:
            return levels[np.searchsorted(steps, numbers, side="right")]

        if self.changes_per_round == 0:
            return AllSteady(draw(rngs("initial", client_ids).random()))
        factors = np.ones(len(client_ids))
        if self.rate_spread > 1:
            exponents = between(-1.0, 1.0, rngs("rate", client_ids).random())
            # numpy's power may differ from Python's in the last bit.
            factors = np.array([self.rate_spread**exponent for exponent in exponents.tolist()])
        return AllRefreshed(self.changes_per_round * factors / deadline_s, client_ids, rngs, draw)

    def lower_bound(self) -> float:
        return min(self.levels)
