"""Energy that is not counted."""

from __future__ import annotations

from typing import ClassVar

from distreal_sim.devices.energy import Energy


class Uncounted(Energy):
    """No energy is counted, and no table has a column of it."""

    counts: ClassVar[bool] = False

    def watts(self, macs_per_s: float) -> float:
        return 0.0
