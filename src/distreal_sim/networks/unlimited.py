"""Bytes travel in no time."""

from __future__ import annotations

import math

from distreal_sim.networks import Link, Network
from distreal_sim.profiles import Keyed


class Unlimited(Network):
    """Infinitely fast links."""

    def link(self, client_id: int, rng: Keyed) -> Link:
        return Link(math.inf, math.inf)

    def slowest(self) -> Link:
        return Link(math.inf, math.inf)
