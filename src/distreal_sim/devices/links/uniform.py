"""Links of uniformly distributed speeds."""

from __future__ import annotations

from pydantic import Field, model_validator

from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import LATENCY, PER, Per, Speed, drawn
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Uniform(Links):
    """Speed = low + (high - low) u, with one u, uniform in [0, 1), for both directions."""

    download_bytes_per_s: tuple[Speed, Speed] = Field(
        examples=[(5e5, 2e6)], description="lowest and highest speed from server to client"
    )
    upload_bytes_per_s: tuple[Speed, Speed] = Field(
        examples=[(1e5, 5e5)], description="lowest and highest speed from client to server"
    )
    per: Per = Field("client", description=PER)
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    @model_validator(mode="after")
    def _check(self) -> Uniform:
        for key in ("download_bytes_per_s", "upload_bytes_per_s"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key}: the lowest speed ({low:g}) must not exceed the highest ({high:g})")
        return self

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        u = drawn(self.per, use, rng)
        (low, high), (low_up, high_up) = self.download_bytes_per_s, self.upload_bytes_per_s
        return Link(low + (high - low) * u, low_up + (high_up - low_up) * u, self.latency_s)

    def slowest(self) -> Link:
        return Link(self.download_bytes_per_s[0], self.upload_bytes_per_s[0], self.latency_s)
