"""Network links: how long bytes take to travel; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.rngs import Keyed


class Link(NamedTuple):
    """Speeds of one client's link, in bytes per simulated second; inf is legal."""

    download_bytes_per_s: float
    upload_bytes_per_s: float


class Links(Plugin):
    """Gives each client its link."""

    package: ClassVar[str] = "distreal_sim.devices.links"
    label: ClassVar[str] = "link"

    @abstractmethod
    def link(self, client_id: int, rng: Keyed) -> Link:
        """The client's link; rng: keyed generators that belong to this client.

        If it is marked `rngs.for_many`, client_id may also be an array (n,) of ids; the speeds then may be
        arrays (n,).
        """

    @abstractmethod
    def slowest(self) -> Link:
        """A link whose speeds are lower bounds on those of all clients."""
