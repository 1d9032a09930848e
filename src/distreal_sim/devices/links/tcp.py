"""The throughput that TCP's congestion avoidance allows at a given loss.

M. Mathis, J. Semke, J. Mahdavi, T. Ott. The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm.
ACM SIGCOMM Computer Communication Review 27(3), 1997: BW = MSS / RTT x C / sqrt(p), here with C = sqrt(3 / 2)
(periodic losses, every packet acknowledged).

It is a bound for long transfers with rare losses: slow start and timeouts are not in it. Half a round trip is
added to every transfer as the way of its last byte. (our choice)
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from distreal_sim.base.nested import code_of
from distreal_sim.devices.links import Link, Links, Radio, Use
from distreal_sim.devices.links._options import Inner, inner_link
from distreal_sim.devices.rngs import OneOrMany, Source, Within, for_many

C = math.sqrt(3 / 2)


class Tcp(Links):
    """Speed = the smaller of MSS / RTT x sqrt(3 / 2) / sqrt(loss) and that of the link within (`of`)."""

    of: Inner = Field(examples=[{"name": "unlimited"}], description="the link below TCP")
    rtt_s: float = Field(0.1, gt=0, allow_inf_nan=False, description="time of a packet there and back")
    loss: float = Field(0.01, gt=0, lt=1, description="share of the packets that are lost")
    mss_bytes: int = Field(1460, ge=1, description="bytes of a segment")

    @property
    def code(self) -> tuple[str, ...]:
        return code_of(self.of)

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        return self._bounded(inner_link(self.of, client_id, use, rng))

    def slowest(self) -> Link:
        return self._bounded(self.of.slowest())

    def radio(self, client_id: int, use: Use, rng: Source) -> Radio | None:
        own = self.of.radio(client_id, use, Within(rng, "of"))
        return None if own is None else own._replace(most_bytes_per_s=self._most)

    @property
    def _most(self) -> float:
        """Bytes per second that TCP allows."""
        return self.mss_bytes / self.rtt_s * C / math.sqrt(self.loss)

    def _bounded(self, own: Link) -> Link:
        most = self._most
        down, up, latency_s = own
        return Link(np.minimum(down, most), np.minimum(up, most), latency_s + self.rtt_s / 2)
