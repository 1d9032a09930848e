"""Availability: which clients can be selected for a round; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed


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
