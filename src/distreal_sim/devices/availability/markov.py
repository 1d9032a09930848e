"""Clients that come and go at random times."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.devices.availability import Presences
from distreal_sim.devices.processes import Poisson
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Markov(Presences):
    """A continuous-time Markov chain of two states, there and away; each lasts for an exponential time.

    A client is there for the share there_s / (there_s + away_s) of the time, from the start on.
    """

    there_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[600.0], description="mean seconds that a client stays"
    )
    away_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[300.0], description="mean seconds that a client is away"
    )

    @for_many
    def presence(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Poisson:
        """A state is drawn, `there` with that share, at events of the rate 1 / there_s + 1 / away_s."""
        share = self.there_s / (self.there_s + self.away_s)
        rate_per_s = (1 / self.there_s + 1 / self.away_s) * np.ones(np.shape(client_id))
        return Poisson(rate_per_s, rng, lambda drawn: np.where(drawn < share, 1.0, 0.0))
