"""Semi-asynchronous: the server merges at fixed times whatever has arrived.

Our choice of the simplest server of this kind; weights of stale updates as in FedAsync.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from distreal_sim.server.coordination import Coordination, Server
from distreal_sim.server.coordination._weights import Staleness, staleness_weight


class SemiAsync(Coordination):
    """Every period_s the server merges what has arrived and starts idle clients; others work on.

    clients_per_round clients are at work after every merge. A merge without an update leaves the model as it
    is and counts as a step. If every job ends within the period, this is a synchronous server.
    """

    period_s: float = Field(gt=0, allow_inf_nan=False, description="time between merges", examples=[5.0])
    staleness: Staleness = Field(
        "polynomial", description="how the weight of an update falls with its staleness"
    )
    a: float = Field(0.5, ge=0, allow_inf_nan=False, description="exponent of polynomial, or slope of hinge")
    b: int = Field(4, ge=0, description="hinge: staleness up to which the weight is 1")
    max_staleness: int | None = Field(
        None, ge=0, description="updates of more staleness are refused; none by default"
    )

    overlaps: ClassVar[bool] = True

    def n_to_start(self, server: Server) -> int:
        begins = server.now_s == server.step_s and not server.n_ended
        return server.n_per_round - server.n_running if begins else 0

    def timer_s(self, server: Server) -> float:
        return server.step_s + self.period_s

    def is_due(self, server: Server) -> bool:
        return server.timer_rang

    def accepts(self, staleness: int) -> bool:
        return self.max_staleness is None or staleness <= self.max_staleness

    def weight(self, staleness: int) -> float:
        return staleness_weight(self.staleness, self.a, self.b, staleness)
