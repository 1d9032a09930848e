"""Clients that are unavailable at random, round by round: Bernoulli availability."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.devices.availability import Availability
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Random(Availability):
    """Each client is available in each round with the same probability, independently."""

    share: float = Field(
        gt=0, le=1, examples=[0.8], description="probability that a client is available in a round"
    )

    @for_many
    def available(self, client_id: OneOrMany, round_number: int, rng: Source) -> OneOrMany:
        return rng("available", round_number).random() < self.share
