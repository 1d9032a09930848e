"""Capacity profiles: what each client can compute, as a function of time; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed


class Timeline(Protocol):
    """The capacity of one client over absolute simulated time: piecewise constant, right-continuous."""

    def piece(self, t_s: float) -> tuple[float, float]:
        """(level, end_s): the level that holds at t_s, and when it may next change (> t_s, or inf)."""
        ...


class Timelines(Protocol):
    """The timelines of n clients, asked about many at once."""

    def piece(self, t_s: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """rows: (m,) of the n clients; t_s: (m,) -> (m,) levels, (m,) ends, as Timeline.piece gives them."""
        ...


class Profile(Plugin):
    """Levels are relative to the reference capacity (unit: relative) or in MAC/s (unit: macs_per_s).

    Level 1.0 relative is the capacity with which a client with the median number of examples trains the full
    model on its planned local work in exactly deadline_s. 0 and inf are legal.
    """

    package: ClassVar[str] = "distreal_sim.devices.profiles"
    label: ClassVar[str] = "profile"

    unit: Literal["relative", "macs_per_s"] = Field("relative", description="unit of every level")

    @abstractmethod
    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        """The client's timeline; a function of its arguments, whatever the order of the queries.

        rng: keyed generators that belong to this client; deadline_s: the planned length of a round. Marked
        `rngs.for_many` it gets the ids of many clients too, and then gives Timelines; the processes of
        `devices.processes` are both.
        """

    @abstractmethod
    def lower_bound(self) -> float:
        """A level below which no client ever falls."""
