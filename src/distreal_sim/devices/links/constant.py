"""The same link for every client."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import LATENCY
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Constant(Links):
    """Links of one constant speed."""

    download_bytes_per_s: float = Field(gt=0, examples=[2e6], description="speed from server to client")
    upload_bytes_per_s: float = Field(gt=0, examples=[5e5], description="speed from client to server")
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        return self.slowest()

    def slowest(self) -> Link:
        return Link(self.download_bytes_per_s, self.upload_bytes_per_s, self.latency_s)
