"""Energy: what a client's round takes from its battery; one plug-in per file."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distreal_sim.base.plugins import Plugin
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.energy._radio import TECHNOLOGIES, RadioPower, transfer_j
from distreal_sim.devices.rngs import OneOrMany

Own = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Radio = Literal["none", "lte", "5g_low"] | tuple[Own, Own, Own, Own]
"""A technology, or (W sending, W per Mbit/s sending, W receiving, W per Mbit/s receiving)."""


class Energy(Plugin):
    """The energy of clients: of their computing, and of their radio.

    counts: whether it is counted at all. by_macs: whether that of the computing follows from its MACs and its
    duration alone (`compute_j`); otherwise it is the integral of `watts`.
    """

    package: ClassVar[str] = "distreal_sim.devices.energy"
    label: ClassVar[str] = "energy"

    counts: ClassVar[bool] = True
    by_macs: ClassVar[bool] = False

    radio: Radio = Field(
        "none",
        description="power of the whole phone in a transfer, a + b x rate: of LTE, of 5G in the low band, or "
        "your a and b of sending, then of receiving, in W and W per Mbit/s",
    )

    @abstractmethod
    def watts(self, macs_per_s: float) -> float:
        """Power of a device that computes at this speed.

        Raises InputError for a speed at which it has none, such as an infinite one.
        """

    def best_speed(self, price_w: float, most: float) -> float:
        """MAC/s, at most `most`, at which a MAC costs least if a second is worth price_w: (price + watts) /
        speed is least; `most` where energy does not depend on the speed.
        """
        return most

    def compute_j(self, macs: OneOrMany, duration_s: OneOrMany) -> OneOrMany:
        """Joules of so many MACs, if `by_macs`; arrays (n,) of n clients."""
        raise NotImplementedError

    def computing_j(self, macs: int, capacity: Capacity, start_s: float, end_s: float) -> float:
        """Joules of a client that computes from start_s to end_s, relative to the start of its round."""
        if self.by_macs:
            return float(self.compute_j(macs, end_s - start_s))
        total = 0.0
        for from_s, to_s, macs_per_s in capacity.pieces(start_s):
            if from_s >= end_s:
                break
            total += self.watts(macs_per_s) * (min(to_s, end_s) - from_s)
        return total

    @property
    def radio_power(self) -> RadioPower:
        """The radio's power sending and receiving: W, and W for each Mbit/s."""
        return TECHNOLOGIES[self.radio] if isinstance(self.radio, str) else RadioPower(*self.radio)

    def download_j(self, n_bytes: OneOrMany, duration_s: OneOrMany) -> OneOrMany:
        """Joules of a download of so many bytes in so many simulated seconds; arrays (n,) of n clients."""
        power = self.radio_power
        return transfer_j(power.receiving_w, power.receiving_w_per_mbit_s, n_bytes, duration_s)

    def upload_j(self, n_bytes: OneOrMany, duration_s: OneOrMany) -> OneOrMany:
        """Joules of an upload of so many bytes in so many simulated seconds; arrays (n,) of n clients."""
        power = self.radio_power
        return transfer_j(power.sending_w, power.sending_w_per_mbit_s, n_bytes, duration_s)
