"""Capacities that follow the time of day, such as of devices that their owners use by day."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.regular import Regular, daily_wave, of_rows
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Diurnal(Profile):
    """A daily wave in `steps` equal pieces: low + (high - low) (1 - cos(2 pi (k + 1/2) / steps)) / 2.

    Piece k counts from the beginning of the day. The wave is lowest where a day begins and highest in its
    middle. Each client's day begins up to `time_zones` of a day earlier than the simulation, by whole steps,
    drawn once.
    """

    low: float = Field(0.1, ge=0, allow_inf_nan=False, description="lower end of the wave")
    high: float = Field(1.0, ge=0, allow_inf_nan=False, description="upper end of the wave")
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
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Regular:
        levels = self.low + (self.high - self.low) * daily_wave(self.steps)
        ahead = np.floor(rng("zone").random() * self.time_zones * self.steps).astype(np.int64)
        return Regular(
            self.period_s / self.steps, lambda k, rows: levels[(k + of_rows(ahead, rows)) % self.steps]
        )

    def lower_bound(self) -> float:
        return self.low
