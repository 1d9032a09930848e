"""Log-normal capacities: one mean, and a spread that can be chosen without changing it."""

from __future__ import annotations

import math

from pydantic import Field

from distreal_sim.devices.processes import Steady, power
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.regular import normal
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Lognormal(Profile):
    """Each client draws its level once: mean x exp(s z - s^2 / 2), z standard normal, s^2 = ln(1 + cv^2).

    The expected level is `mean` and the coefficient of variation (standard deviation / mean) is `cv`: fleets
    of several cv compare heterogeneity at one mean speed.
    """

    mean: float = Field(0.5, gt=0, allow_inf_nan=False, description="expected level")
    cv: float = Field(0.5, ge=0, le=10, description="coefficient of variation; 0: all clients are equal")

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Steady:
        variance = math.log1p(self.cv**2)
        exponent = math.sqrt(variance) * normal(rng("level").random()) - variance / 2
        return Steady(self.mean * power(math.e, exponent))

    def lower_bound(self) -> float:
        return 0.0
