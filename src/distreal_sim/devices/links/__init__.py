"""Network links: how long bytes take to travel; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from distreal_sim.base.plugins import Plugin
from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed


class Link(NamedTuple):
    """Speeds of one client's link, in bytes per simulated second; inf is legal."""

    download_bytes_per_s: float
    upload_bytes_per_s: float


class Network(Plugin):
    """Gives each client its link."""

    package: ClassVar[str] = "distreal_sim.devices.links"
    label: ClassVar[str] = "network"

    @abstractmethod
    def link(self, client_id: int, rng: Keyed) -> Link:
        """The client's link; rng: keyed generators that belong to this client."""

    def links(self, client_ids: np.ndarray, rngs: Keys) -> tuple[np.ndarray, np.ndarray] | None:
        """(n,) download and (n,) upload speeds of many clients; None: they are asked one by one.

        rngs(purpose, client_ids, *key): the streams of `link`'s rng(purpose, *key) for these clients.
        """
        return None

    @abstractmethod
    def slowest(self) -> Link:
        """A link than which no client's is slower, in either direction."""
