"""Clients that are there with a probability that follows the time of day, such as charging phones."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.devices.availability import Presences
from distreal_sim.devices.regular import Regular, daily_wave, of_rows, rng_of
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Diurnal(Presences):
    """In each of `steps` equal pieces of a day a client is there with a probability of its own, or away.

    That of piece k is low + (high - low) (1 - cos(2 pi (k + 1/2) / steps)) / 2, lowest where a day begins and
    highest in its middle; the draws are independent. Days begin as in the profile `diurnal`.
    """

    low: float = Field(0.03, ge=0, le=1, description="lower end of the wave of probabilities")
    high: float = Field(0.3, gt=0, le=1, description="upper end of the wave of probabilities")
    period_s: float = Field(86_400, gt=0, allow_inf_nan=False, description="simulated seconds of a day")
    steps: int = Field(24, ge=2, le=10_000, description="pieces of equal length in a day")
    time_zones: float = Field(
        1.0, ge=0, le=1, description="share of a day over which the clients' days begin; 0: all at once"
    )

    @model_validator(mode="after")
    def _check(self) -> Diurnal:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not exceed high ({self.high:g})")
        return self

    @for_many
    def presence(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Regular:
        shares = self.low + (self.high - self.low) * daily_wave(self.steps)
        ahead = np.floor(rng("zone").random() * self.time_zones * self.steps).astype(np.int64)

        def level(k: OneOrMany, rows: np.ndarray | None) -> OneOrMany:
            drawn = rng_of(rng, rows)("there", k).random()
            return np.where(drawn < shares[(k + of_rows(ahead, rows)) % self.steps], 1.0, 0.0)

        return Regular(self.period_s / self.steps, level)
