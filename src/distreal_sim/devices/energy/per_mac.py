"""A number of joules for each MAC, whatever the speed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from distreal_sim.devices.energy import Energy
from distreal_sim.devices.rngs import OneOrMany


class PerMac(Energy):
    """Joules = joules_per_mac x MACs + idle_w x seconds of computing."""

    by_macs: ClassVar[bool] = True

    joules_per_mac: float = Field(
        gt=0, allow_inf_nan=False, examples=[1e-10], description="energy of a multiply-accumulate"
    )
    idle_w: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="power of the device between its transfers, whether its capacity is above 0 or not",
    )

    def watts(self, macs_per_s: float) -> float:
        return self.idle_w + self.joules_per_mac * macs_per_s

    def compute_j(self, macs: OneOrMany, duration_s: OneOrMany) -> OneOrMany:
        return self.joules_per_mac * macs + self.idle_w * duration_s
