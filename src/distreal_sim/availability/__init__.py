"""Availability: which clients can be selected for a round; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from distreal_sim.plugins import Plugin
from distreal_sim.profiles import Keyed


class Availability(Plugin):
    """Says whether a client can be selected."""

    package: ClassVar[str] = "distreal_sim.availability"
    label: ClassVar[str] = "availability"

    @abstractmethod
    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        """Whether the client can be selected for the round; rng: keyed generators of this client."""
