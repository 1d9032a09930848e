"""Power of a radio while it transfers: a + b x rate.

A. Narayanan, X. Zhang, R. Zhu, A. Hassan, S. Jin, X. Zhu, X. Zhang, D. Rybkin, Z. Yang, Z. M. Mao, F. Qian,
Z.-L. Zhang. A Variegated Look at 5G in the Wild: Performance, Power, and QoE Implications. ACM SIGCOMM 2021:
fits of the power of a whole phone, in mW at r Mbit/s: LTE up 2926 + 76.7 r, down 2839 + 11.5 r; 5G in the low
band up 3199 + 32.2 r, down 3059 + 11.5 r. Whole phone means that its idle power is in a.
"""

from __future__ import annotations

from typing import NamedTuple

from distreal_sim.devices.rngs import OneOrMany


class RadioPower(NamedTuple):
    """a and b of each direction."""

    sending_w: float
    sending_w_per_mbit_s: float
    receiving_w: float
    receiving_w_per_mbit_s: float


TECHNOLOGIES = {
    "none": RadioPower(0.0, 0.0, 0.0, 0.0),
    "lte": RadioPower(2.926, 0.0767, 2.839, 0.0115),
    "5g_low": RadioPower(3.199, 0.0322, 3.059, 0.0115),
}


def transfer_j(watts: float, watts_per_mbit_s: float, n_bytes: OneOrMany, duration_s: OneOrMany) -> OneOrMany:
    """Joules of a transfer: (a + b x rate) x duration; the rate is that of its bytes over its duration."""
    return watts * duration_s + watts_per_mbit_s * (n_bytes * 8 / 1e6)
