"""Capacity profiles: each client's capacity as a function of time; one plug-in per file."""

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
        """(level, end_s): the level that holds at t_s, and the time of its next change (> t_s, or inf)."""
        ...


class Timelines(Protocol):
    """The timelines of n clients, for queries about many at once."""

    def piece(self, t_s: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """rows: (m,) of the n clients; t_s: (m,) -> (m,) levels, (m,) ends, as from Timeline.piece."""
        ...


class Profile(Plugin):
    """A capacity profile; its levels are relative to the reference capacity, or in MAC/s (see `unit`).

    Level 1.0 relative is the capacity with which a client with the median number of examples trains the full
    model on its planned local work in exactly deadline_s. 0 and inf are legal.
    """

    package: ClassVar[str] = "distreal_sim.devices.profiles"
    label: ClassVar[str] = "profile"

    unit: Literal["relative", "macs_per_s"] = Field("relative", description="unit of every level")

    @abstractmethod
    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        """The client's timeline; a function of its arguments, whatever the order of the queries.

        rng: keyed generators that belong to this client; deadline_s: the planned length of a round. If it is
        marked `rngs.for_many`, client_id may also be an array (n,) of ids; it then returns Timelines. The
        processes of `devices.processes` are both.
        """

    @abstractmethod
    def lower_bound(self) -> float:
        """A lower bound on the level of every client at every time."""
