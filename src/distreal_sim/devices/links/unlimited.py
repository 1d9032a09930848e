"""Links without transfer time."""

from __future__ import annotations

import math

from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Unlimited(Links):
    """Infinitely fast links."""

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        return self.slowest()

    def slowest(self) -> Link:
        return Link(math.inf, math.inf)
