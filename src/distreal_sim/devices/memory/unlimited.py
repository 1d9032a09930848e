"""Memory without a limit."""

from __future__ import annotations

import math
from typing import ClassVar

from distreal_sim.devices.memory import Memory
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Unlimited(Memory):
    """Every step fits, and peak memory is not looked at."""

    limits: ClassVar[bool] = False

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source, device_bytes: OneOrMany) -> OneOrMany:
        return math.inf
