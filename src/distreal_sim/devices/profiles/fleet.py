"""Fleets of real devices: boards and phones of the device catalogue, by shares or popularity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.plugins import ConfigPath
from distreal_sim.base.text import si
from distreal_sim.devices.catalogue import Device, device
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile, Unit
from distreal_sim.devices.rngs import OneOrMany, Source, for_many

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Fleet(Profile):
    """Each client is one of `devices`, drawn once with its weight: a share, or how many are sold or seen.

    Levels are `efficiency` x the device's MAC/s; with unit relative or relative_own they are relative to the
    mean of the fleet, which is level 1 then.
    """

    devices: Mapping[str, Weight] = Field(
        min_length=1,
        examples=[{"raspberry_pi_4b": 0.7, "raspberry_pi_5_8gb": 0.3}],
        description="names of the catalogue or of `files`, each with its weight",
    )
    files: tuple[ConfigPath, ...] = Field(
        (), description="YAML files of further devices, named like the file"
    )
    efficiency: float = Field(
        1.0, gt=0, le=1, description="share of a device's MAC/s that training reaches, the same for all"
    )
    unit: Unit = Field("macs_per_s", description="macs_per_s: levels are MAC/s; others: relative to the mean")

    @model_validator(mode="after")
    def _check(self) -> Fleet:
        if self.level_1_macs_per_s is not None:
            raise ValueError("level_1_macs_per_s has no use here: the devices have MAC/s of their own")
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Steady:
        return Steady(self._levels[self._which(rng)])

    def lower_bound(self) -> float:
        return float(self._levels.min())

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source) -> OneOrMany:
        known = [own.memory_bytes for own in self._known]
        return np.array([np.inf if fact is None else fact.value for fact in known])[self._which(rng)]

    def notes(self) -> tuple[str, ...]:
        total = sum(self.devices.values())
        return tuple(
            f"{100 * weight / total:.3g} % {own.title}: {si(own.macs_per_s.value, 'MAC/s')} "
            f"({own.macs_per_s.sure}: {own.macs_per_s.source})"
            for own, weight in zip(self._known, self.devices.values(), strict=True)
        )

    def _which(self, rng: Source) -> OneOrMany:
        """The device of the client, or (n,) of each."""
        ends = np.cumsum(list(self.devices.values()))
        return np.minimum(
            np.searchsorted(ends / ends[-1], rng("device").random(), side="right"), len(ends) - 1
        )

    @cached_property
    def _known(self) -> list[Device]:
        """The devices, in the order of their weights."""
        own = {path.stem: str(path) for path in self.files}
        return [device(own.get(name, name)) for name in self.devices]

    @cached_property
    def _levels(self) -> np.ndarray:
        speeds = self.efficiency * np.array([own.macs_per_s.value for own in self._known])
        if self.unit == "macs_per_s":
            return speeds
        mean = np.average(speeds, weights=list(self.devices.values()))
        relative: np.ndarray = speeds / mean
        return relative
