"""Links of log-normally distributed speeds."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import LATENCY, PER, Per, drawn
from distreal_sim.devices.processes import power
from distreal_sim.devices.regular import normal
from distreal_sim.devices.rngs import OneOrMany, Source, for_many

FURTHEST = 3.0
"""Standard deviations at which the logarithm is cut off, so that there is a slowest link."""


class Lognormal(Links):
    """Speed = median x exp(sigma z), z standard normal, cut off at -3 and 3; one z for both directions."""

    download_bytes_per_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[2e6], description="median speed from server to client"
    )
    upload_bytes_per_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[5e5], description="median speed from client to server"
    )
    sigma: float = Field(
        0.5, ge=0, le=5, description="standard deviation of the logarithm of the speed; 0: all are equal"
    )
    per: Per = Field("client", description=PER)
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        z = np.clip(normal(drawn(self.per, use, rng)), -FURTHEST, FURTHEST)
        factor = power(math.e, self.sigma * z)
        return Link(self.download_bytes_per_s * factor, self.upload_bytes_per_s * factor, self.latency_s)

    def slowest(self) -> Link:
        factor = math.exp(-FURTHEST * self.sigma) * (1 - 1e-12)
        return Link(self.download_bytes_per_s * factor, self.upload_bytes_per_s * factor, self.latency_s)
