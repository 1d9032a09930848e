"""Capacities that wander around a mean, and come back to it."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import MOST_CHANGES
from distreal_sim.devices.regular import Regular, Remembering
from distreal_sim.devices.rngs import OneOrMany, Source, for_many

MOST_REMEMBERED = 50.0
"""Largest number of changes after which the correlation falls to 1/e."""


class RandomWalk(Profile):
    """Mean-reverting random walk: mean + std x, cut to [low, high]; x is redrawn at regular times.

    x is standard normal, and its correlation over a time of h rounds is exp(-h / memory_rounds): the
    Ornstein-Uhlenbeck process at the times of the changes (correlations below 0.001 are cut to 0).
    """

    mean: float = Field(0.5, ge=0, allow_inf_nan=False, description="level around which a client wanders")
    std: float = Field(0.2, ge=0, allow_inf_nan=False, description="standard deviation before the cut")
    low: float = Field(0.05, ge=0, allow_inf_nan=False, description="smallest level")
    high: float = Field(1.0, ge=0, description="largest level")
    memory_rounds: float = Field(
        3.0, gt=0, allow_inf_nan=False, description="rounds after which the correlation has fallen to 1/e"
    )
    changes_per_round: float = Field(2.0, gt=0, le=MOST_CHANGES, description="changes per deadline_s")

    @model_validator(mode="after")
    def _check(self) -> RandomWalk:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not exceed high ({self.high:g})")
        if (remembered := self.memory_rounds * self.changes_per_round) > MOST_REMEMBERED:
            raise ValueError(
                f"memory_rounds x changes_per_round ({remembered:g}) must be at most {MOST_REMEMBERED:g}: so "
                "many changes are remembered; lower one of them"
            )
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Regular:
        walk = Remembering(self.memory_rounds * self.changes_per_round, rng)

        def level(k: OneOrMany, rows: np.ndarray | None) -> OneOrMany:
            return np.minimum(np.maximum(self.mean + self.std * walk(k, rows), self.low), self.high)

        return Regular(deadline_s / self.changes_per_round, level)

    def lower_bound(self) -> float:
        return self.low
