"""Availability: which clients can be selected for a round; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed


class Availability(Plugin):
    """Says whether a client can be selected."""

    package: ClassVar[str] = "distreal_sim.devices.availability"
    label: ClassVar[str] = "availability"

    @abstractmethod
    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        """Whether the client can be selected for the round; rng: keyed generators of this client.

        Marked `rngs.for_many` it gets the ids of many clients too, and then may give an array (n,) of bool.
        """
