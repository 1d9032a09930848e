"""Availability: which clients can be selected for a round; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from distreal_sim.base.plugins import Plugin
from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.profiles import Keyed


class Availability(Plugin):
    """Says whether a client can be selected."""

    package: ClassVar[str] = "distreal_sim.devices.availability"
    label: ClassVar[str] = "availability"

    @abstractmethod
    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        """Whether the client can be selected for the round; rng: keyed generators of this client."""

    def available_many(self, client_ids: np.ndarray, round_number: int, rngs: Keys) -> np.ndarray | None:
        """(n,) bool, whether each of many clients can be selected; None: they are asked one by one.

        rngs(purpose, client_ids, *key): the streams of `available`'s rng(purpose, *key) for these clients.
        """
        return None
