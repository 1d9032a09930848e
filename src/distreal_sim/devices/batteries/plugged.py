"""Batteries that charge while their client is there."""

from __future__ import annotations

from typing import ClassVar

from distreal_sim.devices.batteries import Rechargeable
from distreal_sim.devices.profiles import Timeline
from distreal_sim.devices.rngs import Keyed


class Plugged(Rechargeable):
    """Charges while its client is there, at work or not: traces of readiness mean plugged in, among other
    things. Needs an availability of clients that come and go.
    """

    needs_presence: ClassVar[bool] = True

    def charging(self, rng: Keyed, there: Timeline | None) -> Timeline:
        assert there is not None
        return there
