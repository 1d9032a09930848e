"""Frequency and sending power by closed forms, so that time and energy of a round cost least.

Gao, Ye, Yu, Xiong, Xiao, Niyato: Multi-Resource Allocation for On-Device Distributed Federated Learning
Systems. arXiv 2211.00481, 2022. Reconstructed: the abstract minimises the weighted sum of latency and energy
under a target latency, for devices connected by wireless TCP / IP, in two convex parts with closed forms, by
Lagrangian duals and harmony search. Its system model was not available to us; here it is the usual one:

- computing W cycles takes W / f and kappa f^2 W, so a second that is worth p watts asks for the frequency
  f* = (p / (2 kappa))^(1/3) (energy `cubic`), or for the best of the operating points (energy `points`);
- sending s bits takes s / (B log2(1 + g P)) and P times that, so P* = (u - 1) / g with u = exp(1 + W0((g p -
  1) / e)), W0 being Lambert's function; both are cut to what the device can do (link `shannon`, within `tcp`
  no faster than Mathis' formula allows);
- a deadline raises p, by bisection, until it is met: the Lagrangian dual, so no harmony search is needed. A
  device that cannot meet it gets full speed and power.

Goals: `device`, each device's own sum within deadline_s; `round`, time_weight x T + energy_weight x joules of
all, T being the round's length; `slack`, the least energy that leaves the round as short as it can be, for
which fast devices slow down. Settings are those of the planned work with the whole network at the capacity
and the link of the start of the round (our choice); asking costs no bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import lambertw

from distreal_sim.devices.controllers import Controller, Work
from distreal_sim.devices.energy import Energy

STEPS = 80
"""Halvings of a bisection."""

MOST_PRICE_W = 1e30
"""Worth of a second at which every device runs at full speed and power."""


class Allocation(Controller):
    """The cheapest speed and power: of each device, of the round, or without lengthening the round."""

    goal: Literal["device", "round", "slack"] = Field(
        "slack", description="what is least: each device's cost, the round's, or its energy at least length"
    )
    time_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="cost of a second")
    energy_weight: float = Field(1.0, gt=0, allow_inf_nan=False, description="cost of a joule")
    slowest: float = Field(0.1, gt=0, le=1, description="least share of its capacity at which one computes")

    def settings(self, work: Work, energy: Energy, deadline_s: float) -> tuple[np.ndarray, np.ndarray]:
        devices = Choices(work, energy, self.slowest)
        price = self.time_weight / self.energy_weight
        if self.goal == "device":
            price_w = devices.price_w(deadline_s, price)
        else:
            finite = devices.time_s(np.full(len(work.macs), MOST_PRICE_W))
            least_s = min(deadline_s, float(np.max(finite[np.isfinite(finite)], initial=0.0)))
            length_s = least_s
            if self.goal == "round":
                slow_s = devices.time_s(np.zeros(len(work.macs)))
                most_s = min(deadline_s, float(np.max(slow_s[np.isfinite(slow_s)], initial=0.0)))
                length_s = _cheapest(
                    lambda s: price * s + float(devices.energy_j(devices.price_w(s, 0.0)).sum()),
                    least_s,
                    most_s,
                )
            price_w = devices.price_w(length_s, 0.0)
        speed, power_w = devices.speed(price_w), devices.power_w(price_w)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(work.macs_per_s > 0, speed / work.macs_per_s, 1.0)
        return np.where(np.isnan(share), 1.0, share), power_w


@dataclass(frozen=True, eq=False)
class Choices:
    """Speed, power, time and energy of devices as functions of the price of a second, (m,) watts."""

    work: Work
    energy: Energy
    slowest: float

    def speed(self, price_w: np.ndarray) -> np.ndarray:
        """(m,) MAC/s."""
        most = self.work.macs_per_s
        pairs = zip(price_w.tolist(), most.tolist(), strict=True)
        best = np.array([self.energy.best_speed(price, own) for price, own in pairs])
        speed: np.ndarray = np.clip(best, self.slowest * most, most)
        return speed

    def power_w(self, price_w: np.ndarray) -> np.ndarray:
        """(m,) watts while sending; more than the network takes is not worth anything."""
        work = self.work
        with np.errstate(invalid="ignore", over="ignore"):
            used = (2 ** (8 * work.most_bytes_per_s / work.bandwidth_hz) - 1) / work.gain_per_w
        most = np.maximum(work.least_w, np.fmin(work.most_w, used))
        power_w: np.ndarray = np.clip(best_power_w(work.gain_per_w, price_w), work.least_w, most)
        return power_w

    def time_s(self, price_w: np.ndarray) -> np.ndarray:
        """(m,) seconds of a round."""
        compute_s = self._compute_s(self.speed(price_w))
        whole_s: np.ndarray = self.work.download_s + compute_s + self._upload_s(price_w)
        return whole_s

    def energy_j(self, price_w: np.ndarray) -> np.ndarray:
        """(m,) joules of computing and sending."""
        speed = self.speed(price_w)
        watts = np.array([self.energy.watts(own) for own in speed.tolist()])
        sending = np.where(np.isnan(self.work.bandwidth_hz), 0.0, self.power_w(price_w))
        used: np.ndarray = np.nan_to_num(watts * self._compute_s(speed)) + sending * self._upload_s(price_w)
        return used

    def price_w(self, limit_s: float, least: float) -> np.ndarray:
        """(m,) the least price, at least `least`, at which each device is done by limit_s."""
        low, high = np.full(len(self.work.macs), least), np.full(len(self.work.macs), MOST_PRICE_W)
        late = self.time_s(low) > limit_s
        low = np.maximum(low, 1e-12)
        for _ in range(STEPS):  # of its logarithm
            middle = np.sqrt(low * high)
            met = self.time_s(middle) <= limit_s * (1 + 1e-12)
            low, high = np.where(met, low, middle), np.where(met, middle, high)
        return np.where(late, high, least)

    def _compute_s(self, speed: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            compute_s: np.ndarray = self.work.macs / speed
        return compute_s

    def _upload_s(self, price_w: np.ndarray) -> np.ndarray:
        work = self.work
        rate = work.bandwidth_hz * np.log2(1 + work.gain_per_w * self.power_w(price_w)) / 8
        sending_s = work.upload_bytes / np.minimum(rate, work.most_bytes_per_s)
        upload_s: np.ndarray = work.latency_s + np.nan_to_num(sending_s)
        return upload_s


def best_power_w(gain_per_w: np.ndarray, price_w: np.ndarray) -> np.ndarray:
    """Watts at which a bit costs least, a second being worth price_w: (price + P) / log2(1 + g P) is least.

    At its least u = 1 + g P has u (ln u - 1) = g price - 1.
    """
    least = -(1 - 1e-13) / np.e  # just above the branch point, where lambertw gives NaN
    u = np.exp(1 + lambertw(np.maximum((gain_per_w * price_w - 1) / np.e, least)).real)
    best: np.ndarray = (u - 1) / gain_per_w
    return best


def _cheapest(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is least."""
    if high <= low:
        return low
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-6 * high})
    return float(min((low, high, found.x), key=cost))
