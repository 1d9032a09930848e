"""Batteries of the clients, and when they charge; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field, model_validator

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.processes import between
from distreal_sim.devices.profiles import Timeline
from distreal_sim.devices.rngs import Keyed

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Cell(NamedTuple):
    """A client's battery: capacity, level at time 0, and the level at which it takes no part, in joules."""

    capacity_j: float
    start_j: float
    reserve_j: float


class Battery(Plugin):
    """Says what a client's rounds take their joules from.

    `none` never runs out; the others, and those of your own, are subclasses of `Rechargeable` of
    `distreal_sim.devices.batteries`.
    """

    package: ClassVar[str] = "distreal_sim.devices.batteries"
    label: ClassVar[str] = "battery"


class Rechargeable(Battery):
    """A battery that charges at constant power at some times, until it is full.

    at_work: whether it also charges while its client has a job, from the start of the job until the client is
    done; needs_presence: whether it charges by the availability of clients that come and go.
    """

    at_work: ClassVar[bool] = True
    needs_presence: ClassVar[bool] = False

    capacity_j: Positive | tuple[Positive, Positive] = Field(
        examples=[40_000.0],
        description="joules of a full battery, or [low, high], between which each client's is drawn once",
    )
    start: Share | tuple[Share, Share] = Field(
        (0.2, 1.0), description="level at time 0, a share of the capacity, or [low, high], drawn once"
    )
    reserve: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of the capacity: a client that has no more takes no part, and one that comes down "
        "to it in its round stops there",
    )
    charge_w: float = Field(
        ge=0, allow_inf_nan=False, examples=[5.0], description="power that reaches the battery as it charges"
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> Rechargeable:
        for key in ("capacity_j", "start"):
            value = getattr(self, key)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{key}: low ({value[0]:g}) must not exceed high ({value[1]:g})")
        return self

    def cell(self, rng: Keyed) -> Cell:
        """The battery of one client; rng: its keyed generators."""
        capacity_j = _drawn(self.capacity_j, rng, "capacity")
        return Cell(capacity_j, _drawn(self.start, rng, "start") * capacity_j, self.reserve * capacity_j)

    @abstractmethod
    def charging(self, rng: Keyed, there: Timeline | None) -> Timeline:
        """When the battery of one client charges: level 1, otherwise 0, in absolute time.

        rng: the client's keyed generators; there: when it is there, None for always.
        """


def _drawn(value: float | tuple[float, float], rng: Keyed, purpose: str) -> float:
    return float(between(*value, rng(purpose).random())) if isinstance(value, tuple) else value
