"""Memory in classes: each client belongs to one for the whole run."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.text import counted
from distreal_sim.devices.memory import Memory
from distreal_sim.devices.rngs import OneOrMany, Source, for_many

Size = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Tiers(Memory):
    """Each client draws one of `sizes_bytes` once, with the given weights (equal ones if none are given)."""

    sizes_bytes: tuple[Size, ...] = Field(
        min_length=1, examples=[(64e6, 256e6, 1e9)], description="bytes that training may take, of each tier"
    )
    weights: tuple[Weight, ...] = Field((), description="of each tier, as its share is to the others'")

    @model_validator(mode="after")
    def _check(self) -> Tiers:
        if self.weights and len(self.weights) != len(self.sizes_bytes):
            raise ValueError(
                f"weights has {counted(len(self.weights), 'entry', 'entries')}, sizes_bytes has "
                f"{len(self.sizes_bytes)}; give one weight for each size"
            )
        return self

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source, device_bytes: OneOrMany) -> OneOrMany:
        ends = np.cumsum(self.weights or np.ones(len(self.sizes_bytes)))
        place = np.searchsorted(ends / ends[-1], rng("tier").random(), side="right")
        return np.array(self.sizes_bytes)[np.minimum(place, len(ends) - 1)]
