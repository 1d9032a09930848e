"""Batteries that charge whenever their client has no job."""

from __future__ import annotations

from typing import ClassVar

from distreal_sim.devices.batteries import Rechargeable
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Timeline
from distreal_sim.devices.rngs import Keyed


class Idle(Rechargeable):
    """Charges between the jobs, from the time at which the client is done; with charge_w 0 it never does."""

    at_work: ClassVar[bool] = False

    def charging(self, rng: Keyed, there: Timeline | None) -> Timeline:
        return Steady(1.0)
