"""Availability: which clients can be selected for a round, and when they are there; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.profiles import Timeline
from distreal_sim.devices.rngs import Keyed, OneOrMany, for_many


class Availability(Plugin):
    """Decides whether a client can be selected."""

    package: ClassVar[str] = "distreal_sim.devices.availability"
    label: ClassVar[str] = "availability"

    @abstractmethod
    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        """Whether the client can be selected for the round; rng: keyed generators of this client.

        If it is marked `rngs.for_many`, client_id may also be an array (n,) of ids; it then may return an
        array (n,) of bool.
        """

    def notes(self) -> tuple[str, ...]:
        """Lines for `inspect availability`, such as what was read from a file."""
        return ()


class Presences(Availability):
    """Clients that come and go at any time: one that is there when a round begins can be selected for it."""

    when: Literal["pause", "drop"] = Field(
        "pause",
        description="a client that leaves within its round: its work pauses until it is back, or its round "
        "is lost",
    )

    @for_many
    def available(self, client_id: OneOrMany, round_number: int, rng: Keyed) -> OneOrMany:
        """Every round; who is away at its start cannot be selected."""
        return True

    @abstractmethod
    def presence(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        """When the client is there, in absolute time: level 1, and 0 while it is away.

        Arguments, and the mark for many clients, as of `Profile.timeline`.
        """
