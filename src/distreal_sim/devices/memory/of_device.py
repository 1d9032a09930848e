"""A share of the memory of each client's device."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.devices.memory import Memory
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class OfDevice(Memory):
    """`share` of the memory of the client's device, where the profile knows it (`fleet`); else no limit."""

    share: float = Field(0.5, gt=0, le=1, description="share of the device's memory that training may take")

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source, device_bytes: OneOrMany) -> OneOrMany:
        return self.share * device_bytes
