"""Operating points of a processor: P = C V^2 f + static power."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.devices.energy import Energy

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

SLACK = 1e-9
"""Relative rounding error with which a speed is that of a point."""


class Points(Energy):
    """The slowest operating point that is fast enough runs, for as large a part of the time as it needs: a
    device that computes c MAC/s takes c / (macs_per_cycle f) x C V^2 f + static_w.

    A capacity above the fastest point's speed is an error.
    """

    points: tuple[tuple[Positive, Positive], ...] = Field(
        min_length=1,
        examples=[[[6e8, 0.7], [1.2e9, 0.85], [2.0e9, 1.05]]],
        description="frequency in Hz and voltage in V of each operating point",
    )
    capacitance_f: float = Field(
        gt=0, allow_inf_nan=False, examples=[1e-9], description="switched capacitance C, in farad"
    )
    static_w: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="power between the transfers that does not depend on f"
    )
    macs_per_cycle: float = Field(
        gt=0, allow_inf_nan=False, examples=[4.0], description="MACs that a cycle does: speed = this x f"
    )

    @model_validator(mode="after")
    def _check(self) -> Points:
        frequencies = [hz for hz, _ in self.points]
        if sorted(set(frequencies)) != frequencies:
            raise ValueError(f"points: their frequencies {frequencies} must rise")
        return self

    @cached_property
    def _speeds(self) -> list[tuple[float, float]]:
        """(MAC/s, W of switching at full use) of each point."""
        return [(self.macs_per_cycle * hz, self.capacitance_f * v**2 * hz) for hz, v in self.points]

    def best_speed(self, price_w: float, most: float) -> float:
        found = [speed for speed, _ in self._speeds if speed <= most] + [most]
        return min(found, key=lambda speed: (price_w + self.watts(speed)) / speed) if most > 0 else most

    def watts(self, macs_per_s: float) -> float:
        for speed, switching_w in self._speeds:
            if macs_per_s <= speed * (1 + SLACK):
                return macs_per_s / speed * switching_w + self.static_w
        raise InputError(
            f"energy points: a client has {macs_per_s:.4g} MAC/s, and the fastest point does "
            f"{self._speeds[-1][0]:.4g}; add a point, or raise energy.macs_per_cycle"
        )
