"""The same link for every client."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.networks import Link, Network
from distreal_sim.profiles import Keyed


class Constant(Network):
    """Links of one constant speed."""

    download_bytes_per_s: float = Field(gt=0, description="speed from server to client")
    upload_bytes_per_s: float = Field(gt=0, description="speed from client to server")

    def link(self, client_id: int, rng: Keyed) -> Link:
        return Link(self.download_bytes_per_s, self.upload_bytes_per_s)

    def slowest(self) -> Link:
        return Link(self.download_bytes_per_s, self.upload_bytes_per_s)
