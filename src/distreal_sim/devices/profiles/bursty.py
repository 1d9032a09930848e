"""Capacities with bursts: one level most of the time, another for short times."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from distreal_sim.devices.jobs import Jobs
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import Level
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Bursty(Profile):
    """Level `burst` for a `share` of the time, `idle` for the rest.

    Bursts begin in a Poisson process and last for times that are uniform in [0, 2 x mean); those that overlap
    are one. With n bursts at a time, a Poisson variable of mean m, the share is 1 - exp(-m).
    """

    idle: Level = Field(0.1, description="level between bursts")
    burst: Level = Field(1.0, description="level in a burst")
    share: float = Field(0.2, gt=0, le=0.98, description="share of the time in bursts")
    bursts_per_round: float = Field(
        1.0, gt=0, le=10_000, description="bursts that begin per deadline_s, overlapping ones counted"
    )

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Jobs:
        n_bursts = -math.log1p(-self.share)
        levels = np.array([self.idle, self.burst])
        mean_s = n_bursts * deadline_s / self.bursts_per_round
        return Jobs(n_bursts, mean_s, rng, lambda n: levels[np.minimum(n, 1)])

    def lower_bound(self) -> float:
        return min(self.idle, self.burst)
