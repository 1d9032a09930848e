"""Fleets of real speeds whose spread can be chosen at one mean.

The sampler of devices of Zhang et al. FLHetBench: Benchmarking Device and State Heterogeneity in Federated
Learning. CVPR 2024: a Gaussian mixture with weights of a Dirichlet distribution. The constants are those of
its public code.

Differs from the paper: it samples the speeds of links; here they are speeds of computation.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.plugins import ConfigPath
from distreal_sim.base.rng import generator
from distreal_sim.devices.catalogue import catalogue, device
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.rngs import OneOrMany, Source, for_many
from distreal_sim.devices.traces import fedscale, phones, table
from distreal_sim.devices.traces.samples import Names

CONCENTRATION = 1000.0
"""Of the Dirichlet distribution of the weights: kinds of devices are about equally frequent."""

READERS = {"table": table.read, "phones": phones.read, "fedscale": fedscale.read}


class Dpgmm(Profile):
    """Level = mean x the speed of a device / the mean speed of the data base; K kinds of devices, drawn once.

    Kind k has a wanted speed drawn from N(mu, (sigma s)^2), mu and s the mean and the standard deviation of
    the data base, and is the device nearest to it that no earlier kind took. A client's kind is drawn with
    weights from Dirichlet(1000, ..., 1000). sigma 0: the K devices nearest to the mean.
    """

    mean: float = Field(0.5, gt=0, allow_inf_nan=False, description="level of a device of mean speed")
    sigma: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="spread of the wanted speeds, relative to the data base's"
    )
    kinds: int = Field(5, ge=1, description="K, the number of distinct devices")
    draw: int = Field(0, ge=0, description="number of the draw of the kinds; clients draw theirs by the seed")
    file: ConfigPath | None = Field(
        None, description="data base: a file with one speed a device; left out: the device catalogue"
    )
    format: Literal["table", "phones", "fedscale"] = Field(
        "table", description="what the file is, as in the profile `trace`"
    )
    level_column: str | None = Field(None, description="column of speeds; table: level")

    @model_validator(mode="after")
    def _check(self) -> Dpgmm:
        if self.file is None and self.kinds > len(catalogue()):
            raise ValueError(
                f"kinds ({self.kinds}) must be at most {len(catalogue())}, the catalogue's devices"
            )
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Steady:
        levels, ends = self._kinds()
        kind = np.minimum(np.searchsorted(ends, rng("kind").random(), side="right"), len(levels) - 1)
        return Steady(levels[kind])

    def lower_bound(self) -> float:
        return float(self._kinds()[0].min())

    def _kinds(self) -> tuple[np.ndarray, np.ndarray]:
        """(K,) levels; (K,) upper ends of their intervals in [0, 1)."""
        speeds = self._speeds()
        rng = generator(self.draw, "dpgmm")
        weights = rng.dirichlet(np.full(self.kinds, CONCENTRATION))
        wanted = speeds.mean() + self.sigma * speeds.std() * rng.standard_normal(self.kinds)
        return self.mean * nearest(speeds, wanted) / speeds.mean(), np.cumsum(weights)

    def _speeds(self) -> np.ndarray:
        if self.file is None:
            return np.array([device(name).macs_per_s.value for name in catalogue()])
        speeds = READERS[self.format](self.file, Names(None, None, self.level_column)).levels
        if len(speeds) < self.kinds:
            raise ValueError(
                f"kinds ({self.kinds}) must be at most {len(speeds)}, the devices in {self.file}"
            )
        return speeds


def nearest(speeds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(K,) for each wanted speed in turn the nearest one that is not taken."""
    free = np.ones(len(speeds), bool)
    found = []
    for own in wanted:
        place = int(np.argmin(np.where(free, np.abs(speeds - own), np.inf)))
        free[place] = False
        found.append(speeds[place])
    return np.array(found)
