"""The product of profiles, such as device classes times the hours of a day."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.nested import code_of
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._parts import Part, Together, check_units
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Product(Profile):
    """Level = product of the parts' levels at the same time; 0 wherever a part is 0."""

    parts: tuple[Part, ...] = Field(
        min_length=1,
        examples=[({"name": "tiers", "levels": [0.5, 1.0]}, {"name": "diurnal"})],
        description="profiles whose levels are multiplied",
    )

    @model_validator(mode="after")
    def _check(self) -> Product:
        check_units(self.parts, self.unit, "product")
        return self

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(path for part in self.parts for path in code_of(part))

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Together:
        return Together.of(self.parts, client_id, rng, deadline_s, product)

    def notes(self) -> tuple[str, ...]:
        return tuple(line for part in self.parts for line in part.notes())

    def check_fleet(self, n_clients: int) -> None:
        for part in self.parts:
            part.check_fleet(n_clients)

    def lower_bound(self) -> float:
        bounds = [part.lower_bound() for part in self.parts]
        return 0.0 if 0 in bounds else math.prod(bounds)


def product(levels: np.ndarray) -> np.ndarray:
    """(parts, ...) -> (...); 0 times infinity is 0."""
    with np.errstate(invalid="ignore"):
        return np.where((levels == 0).any(axis=0), 0.0, reduce(np.multiply, levels))
