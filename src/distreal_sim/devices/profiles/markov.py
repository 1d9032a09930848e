"""Capacities that jump between levels at random times, inside rounds too.

At each event of a Poisson process a client draws a new level: a continuous-time Markov chain whose
stationary distribution is `shares`. (A draw may repeat the current level.)
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.devices.processes import Poisson, Steady, between, power
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import ChangesPerRound, Level, Shares, cumulative, picker
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Markov(Profile):
    """Levels with shares; each client has its own rate of change."""

    levels: tuple[Level, ...] = Field(
        min_length=1, examples=[(0.1, 0.5, 1.0)], description="capacities that a client jumps between"
    )
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

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Poisson | Steady:
        draw = picker(self.levels, self.shares)
        if self.changes_per_round == 0:
            return Steady(draw(rng("initial").random()))
        factor: OneOrMany = np.ones(np.shape(client_id))
        if self.rate_spread > 1:
            factor = power(self.rate_spread, between(-1.0, 1.0, rng("rate").random()))
        return Poisson(self.changes_per_round * factor / deadline_s, rng, draw)

    def lower_bound(self) -> float:
        return min(self.levels)
