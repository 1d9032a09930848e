"""What servers whose jobs overlap their steps share: the weights of stale updates."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from distreal_sim.server.coordination import Coordination

Staleness = Literal["constant", "polynomial", "hinge", "deviation"]
"""The form of the weight as a function of the staleness."""


class Overlapping(Coordination):
    """Jobs go on while the server takes steps, so updates may be stale; they weigh less, or are refused."""

    staleness: Staleness = Field(
        "polynomial", description="how the weight of an update falls with its staleness"
    )
    a: float = Field(0.5, ge=0, allow_inf_nan=False, description="exponent of polynomial, or slope of hinge")
    b: int = Field(4, ge=0, description="hinge: staleness up to which the weight is 1")
    deviation_share: float = Field(
        0.35, ge=0, le=1, description="deviation: share of a weight that depends on it, not on the staleness"
    )
    max_staleness: int | None = Field(
        None, ge=0, description="updates of more staleness are refused; none by default"
    )

    overlaps: ClassVar[bool] = True

    def accepts(self, staleness: int) -> bool:
        return self.max_staleness is None or staleness <= self.max_staleness

    @property
    def compares(self) -> bool:
        return self.staleness == "deviation"

    def weight(self, staleness: int, deviation: float = 1.0) -> float:
        if self.compares:
            return deviation_weight(self.deviation_share, staleness, deviation)
        return staleness_weight(self.staleness, self.a, self.b, staleness)


def staleness_weight(form: Staleness, a: float, b: float, staleness: int) -> float:
    """Weight of an update of this staleness, 1 for a fresh one.

    constant: 1; polynomial: (1 + staleness)^-a; hinge: 1 up to a staleness of b, then
    1 / (a (staleness - b) + 1). Xie, Koyejo, Gupta: Asynchronous Federated Optimization, arXiv 1903.03934.
    """
    if form == "polynomial":
        return float((1 + staleness) ** -a)
    if form == "hinge" and staleness > b:
        return 1 / (a * (staleness - b) + 1)
    return 1.0


def deviation_weight(share: float, staleness: int, deviation: float) -> float:
    """(1 - share) / (staleness + 1) + share (1 - exp(-deviation)), and 1 for a fresh one.

    deviation: that of the update, as a share of the largest one of its step. Abdelmoniem, Sahu, Canini,
    Fahmy: REFL: Resource-Efficient Federated Learning. EuroSys 2023, arXiv 2111.01108; that the paper has the
    exponential is from memory. Its public code divides the exponent by 10.
    """
    return (1 - share) / (staleness + 1) + share * (1 - math.exp(-deviation)) if staleness else 1.0
