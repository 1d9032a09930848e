"""Radio links whose rate follows from bandwidth, gain and sending power: B log2(1 + g P).

The usual model of papers on federated learning over wireless networks. C. E. Shannon. A Mathematical Theory
of Communication. 1948. An upper bound: real radios reach a part of it.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from distreal_sim.devices.links import Link, Links, Radio, Use
from distreal_sim.devices.links._options import LATENCY, Speed
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Shannon(Links):
    """Uploads at B log2(1 + g P) bit/s; g of a client is drawn once, uniform in its logarithm.

    P is the most power unless `controller` sets it. Downloads have one speed.
    """

    bandwidth_hz: Speed = Field(examples=[1e6], description="bandwidth B of each client's upload, in Hz")
    gain_per_w: tuple[Speed, Speed] = Field(
        examples=[(10.0, 1000.0)], description="least and most signal / noise for each watt sent"
    )
    power_w: tuple[Speed, Speed] = Field((0.01, 1.0), description="least and most power of sending, in watts")
    download_bytes_per_s: Speed = Field(examples=[2e6], description="speed from server to client")
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    radios: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> Shannon:
        for key in ("gain_per_w", "power_w"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} [{low:g}, {high:g}] must have the smaller number first")
        return self

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        low, high = self.gain_per_w
        return self._link(low * (high / low) ** rng("gain").random())

    def slowest(self) -> Link:
        return self._link(self.gain_per_w[0])

    def _link(self, gain_per_w: OneOrMany) -> Link:
        radio = Radio(self.bandwidth_hz, gain_per_w, *self.power_w)
        return Link(self.download_bytes_per_s, radio.bytes_per_s(radio.most_w), self.latency_s)

    def radio(self, client_id: int, use: Use, rng: Source) -> Radio:
        low, high = self.gain_per_w
        return Radio(self.bandwidth_hz, low * (high / low) ** rng("gain").random(), *self.power_w)
