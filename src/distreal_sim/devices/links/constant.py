"""The same link for every client."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.links import Link, Network
from distreal_sim.devices.profiles import Keyed


class Constant(Network):
    """Links of one constant speed."""

    download_bytes_per_s: float = Field(gt=0, description="speed from server to client")
    upload_bytes_per_s: float = Field(gt=0, description="speed from client to server")

    def link(self, client_id: int, rng: Keyed) -> Link:
        return Link(self.download_bytes_per_s, self.upload_bytes_per_s)

    def links(self, client_ids: np.ndarray, rngs: Keys) -> tuple[np.ndarray, np.ndarray]:
        n = len(client_ids)
        return np.full(n, self.download_bytes_per_s), np.full(n, self.upload_bytes_per_s)

    def slowest(self) -> Link:
        return Link(self.download_bytes_per_s, self.upload_bytes_per_s)
