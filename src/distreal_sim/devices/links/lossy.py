"""Links that lose packets and send them again."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.base.nested import code_of
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import Inner, inner_link
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Lossy(Links):
    """Speed x (1 - loss): on average 1 / (1 - loss) packets are sent until one arrives (a mean, no draw)."""

    of: Inner = Field(
        examples=[{"name": "constant", "download_bytes_per_s": 2e6, "upload_bytes_per_s": 5e5}],
        description="the link that loses them",
    )
    loss: float = Field(0.01, ge=0, lt=1, description="share of the packets that are lost")

    @property
    def code(self) -> tuple[str, ...]:
        return code_of(self.of)

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        return self._of(inner_link(self.of, client_id, use, rng))

    def slowest(self) -> Link:
        return self._of(self.of.slowest())

    def _of(self, own: Link) -> Link:
        down, up, latency_s = own
        return Link(down * (1 - self.loss), up * (1 - self.loss), latency_s)
