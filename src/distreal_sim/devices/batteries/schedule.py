"""Batteries that charge at the same hours of each day."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field, model_validator

from distreal_sim.devices.batteries import Rechargeable
from distreal_sim.devices.processes import period_at
from distreal_sim.devices.profiles import Timeline
from distreal_sim.devices.rngs import Keyed


class Daily(NamedTuple):
    """Level 1 from one time of day to another, over midnight if that is earlier; otherwise 0."""

    from_s: float
    to_s: float
    day_s: float

    def piece(self, t_s: float) -> tuple[float, float]:
        """See `Timeline`."""
        day = period_at(t_s, self.day_s)
        midnight_s, over_midnight = day * self.day_s, self.to_s < self.from_s
        edges_s = [midnight_s + edge for edge in sorted((self.from_s, self.to_s))]
        for place, edge_s in enumerate(edges_s):
            if t_s < edge_s:
                return float((place == 1) != over_midnight), edge_s
        return float(over_midnight), (day + 1) * self.day_s


class Schedule(Rechargeable):
    """Charges from `from_h` to `to_h` of each day, at work or not, such as at night."""

    from_h: float = Field(22.0, ge=0, lt=24, description="hour of the day at which it begins to charge")
    to_h: float = Field(6.0, ge=0, lt=24, description="hour of the day at which it ends")
    spread_h: float = Field(
        0.0, ge=0, lt=24, description="hours: each client's times are later by up to this, drawn once"
    )
    day_s: float = Field(86_400, gt=0, allow_inf_nan=False, description="simulated seconds of a day")

    @model_validator(mode="after")
    def _check_hours(self) -> Schedule:
        if self.from_h == self.to_h:
            raise ValueError(f"from_h and to_h ({self.to_h:g}) must differ")
        return self

    def charging(self, rng: Keyed, there: Timeline | None) -> Timeline:
        later_h = self.spread_h * rng("later").random()
        from_s, to_s = ((h + later_h) % 24 / 24 * self.day_s for h in (self.from_h, self.to_h))
        return Daily(from_s, to_s, self.day_s)
