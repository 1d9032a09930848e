"""The sum of profiles, such as a base speed and the share that other jobs leave of an accelerator."""

from __future__ import annotations

from functools import partial, reduce

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.nested import code_of
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._parts import Part, Together, check_units
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Sum(Profile):
    """Level = sum of the parts' levels at the same time."""

    parts: tuple[Part, ...] = Field(
        min_length=1,
        examples=[({"name": "constant", "level": 0.1}, {"name": "bursty"})],
        description="profiles whose levels are added",
    )

    @model_validator(mode="after")
    def _check(self) -> Sum:
        check_units(self.parts, self.unit, "sum")
        return self

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(path for part in self.parts for path in code_of(part))

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Together:
        return Together.of(self.parts, client_id, rng, deadline_s, partial(reduce, np.add))

    def notes(self) -> tuple[str, ...]:
        return tuple(line for part in self.parts for line in part.notes())

    def check_fleet(self, n_clients: int) -> None:
        for part in self.parts:
            part.check_fleet(n_clients)

    def lower_bound(self) -> float:
        return sum(part.lower_bound() for part in self.parts)
