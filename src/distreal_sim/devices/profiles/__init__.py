"""Capacity profiles: each client's capacity as a function of time; one plug-in per file."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed, OneOrMany, Source, for_many

Unit = Literal["relative", "relative_own", "macs_per_s"]
"""What level 1 of a profile is; see `Profile`."""


class Timeline(Protocol):
    """The capacity of one client over absolute simulated time: piecewise constant, right-continuous."""

    def piece(self, t_s: float) -> tuple[float, float]:
        """(level, end_s): the level that holds at t_s, and the time of its next change (> t_s, or inf)."""
        ...


class Timelines(Protocol):
    """The timelines of n clients, for queries about many at once."""

    def piece(self, t_s: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """rows: (m,) of the n clients; t_s: (m,) -> (m,) levels, (m,) ends, as from Timeline.piece."""
        ...


class Profile(Plugin):
    """A capacity profile; its levels are multiples of a capacity that `unit` names; 0 and inf are legal.

    relative: level 1 is the capacity with which a client with the median number of examples trains the full
    model on its planned local work in exactly deadline_s. relative_own: each client's level 1 is the capacity
    with which it does so with its own planned work. macs_per_s: level 1 is level_1_macs_per_s, or 1 MAC/s,
    whatever the model and the work.
    """

    package: ClassVar[str] = "distreal_sim.devices.profiles"
    label: ClassVar[str] = "profile"

    unit: Unit = Field(
        "relative",
        description="what level 1 is: full training of the median client's work in deadline_s; of each "
        "client's own work; or MAC/s",
    )
    level_1_macs_per_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="unit macs_per_s: MAC/s of level 1; 1 if not given"
    )

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if self.level_1_macs_per_s is not None and self.unit != "macs_per_s":
            raise ValueError(
                f"level_1_macs_per_s ({self.level_1_macs_per_s:g}) is for unit macs_per_s, not {self.unit}"
            )
        return self

    @abstractmethod
    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        """The client's timeline; a function of its arguments, whatever the order of the queries.

        rng: keyed generators that belong to this client; deadline_s: the planned length of a round. If it is
        marked `rngs.for_many`, client_id may also be an array (n,) of ids; it then returns Timelines. The
        processes of `devices.processes` are both.
        """

    def lower_bound(self) -> float:
        """A lower bound on the level of every client at every time; 0 unless a profile knows better."""
        return 0.0

    @for_many
    def memory_bytes(self, client_id: OneOrMany, rng: Source) -> OneOrMany:
        """Bytes of memory of the client's device; infinite where the profile knows none."""
        return math.inf

    def notes(self) -> tuple[str, ...]:
        """Lines about the levels for `inspect profile`, such as what was read from a file."""
        return ()

    def check_fleet(self, n_clients: int) -> None:
        """Raises InputError where the profile has no levels for so many clients; called before round 1."""
