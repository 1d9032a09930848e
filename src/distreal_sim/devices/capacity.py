"""Capacity of one client during one round, and the duration of steps in simulated time.

Times are relative to the start of the round, so that they do not lose digits as the simulation grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from distreal_sim.devices.profiles import Timeline

ROUNDING = 1e-12
"""Share of a step's MACs left at the end of a piece that counts as rounding error, so that a step that ends
where the capacity falls to 0 does not wait for the capacity to come back."""


@dataclass(frozen=True)
class Capacity:
    """capacity(t_s) in MAC/s, piecewise constant.

    scale: MAC/s of level 1; start_s: start of the round in absolute simulated seconds.
    """

    timeline: Timeline
    scale: float
    start_s: float

    def __call__(self, t_s: float) -> float:
        """MAC/s available at t_s; a client knows only the present value."""
        return next(self.pieces(t_s))[2]

    def pieces(self, t_s: float) -> Iterator[tuple[float, float, float]]:
        """(from_s, to_s, MAC/s) from t_s on; the last piece ends at inf, if there is a last one."""
        at_s = self.start_s + t_s
        while t_s < math.inf:
            level, end_s = self.timeline.piece(at_s)
            if end_s - self.start_s > t_s:
                yield t_s, end_s - self.start_s, level * self.scale if level else 0.0
                t_s = end_s - self.start_s
            at_s = end_s

    def finish(self, t_s: float, macs: float, until_s: float = math.inf) -> float:
        """The time at which work of `macs` that starts at t_s is done; inf if that is after until_s."""
        left = float(macs)
        for from_s, to_s, macs_per_s in self.pieces(t_s):
            if from_s > until_s:
                break
            if macs_per_s == math.inf or left <= 0:  # nothing to do takes no time, whatever the capacity
                return from_s
            if macs_per_s > 0 and from_s + left / macs_per_s <= to_s:
                end_s = from_s + left / macs_per_s
                return end_s if end_s <= until_s else math.inf
            left -= macs_per_s * (to_s - from_s)
            if left <= ROUNDING * macs:
                return to_s if to_s <= until_s else math.inf
        return math.inf

    def offered(self, from_s: float, to_s: float) -> float:
        """MACs that the client can do between two times: the integral of its capacity."""
        total = 0.0
        for start_s, end_s, macs_per_s in self.pieces(from_s):
            if start_s >= to_s:
                break
            total += macs_per_s * (min(end_s, to_s) - start_s) if macs_per_s else 0.0
        return total
