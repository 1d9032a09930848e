"""The energy model of most papers on federated learning over wireless networks: kappa f^2 C joules.

For example N. H. Tran, W. Bao, A. Zomaya, M. N. H. Nguyen, C. S. Hong. Federated Learning over Wireless
Networks: Optimization Model Design and Analysis. INFOCOM 2019. C is the number of cycles, f their frequency.

An approximation: it takes the voltage for proportional to the frequency everywhere, which holds over a part
of a processor's range only, and has no static power. `points` has both.
"""

from __future__ import annotations

import math

from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.devices.energy import Energy


class Cubic(Energy):
    """Approximate: a device that computes c MAC/s takes kappa f^3 with f = c / macs_per_cycle, which is kappa
    f^2 for each cycle.
    """

    kappa: float = Field(
        gt=0, allow_inf_nan=False, examples=[1e-28], description="W / Hz^3, half the switched capacitance"
    )
    macs_per_cycle: float = Field(
        gt=0, allow_inf_nan=False, examples=[4.0], description="MACs that a cycle does: f = capacity / this"
    )

    def best_speed(self, price_w: float, most: float) -> float:
        wanted: float = self.macs_per_cycle * (price_w / (2 * self.kappa)) ** (1 / 3)
        return min(most, wanted)

    def watts(self, macs_per_s: float) -> float:
        if math.isinf(macs_per_s):
            raise InputError("energy cubic: a client has infinite capacity, which takes infinite power")
        return self.kappa * (macs_per_s / self.macs_per_cycle) ** 3
