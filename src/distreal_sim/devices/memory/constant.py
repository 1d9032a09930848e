"""The same memory for every client."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.devices.memory import Memory
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Constant(Memory):
    """One number of bytes."""

    size_bytes: float = Field(gt=0, examples=[256e6], description="bytes that training may take")

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source, device_bytes: OneOrMany) -> OneOrMany:
        return self.size_bytes
