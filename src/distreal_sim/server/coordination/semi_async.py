"""Semi-asynchronous: the server merges at fixed times whatever has arrived.

Our choice of the simplest server of this kind; weights of stale updates as in FedAsync.
"""

from __future__ import annotations

from pydantic import Field

from distreal_sim.server.coordination import Server
from distreal_sim.server.coordination._weights import Overlapping


class SemiAsync(Overlapping):
    """Every period_s the server merges what has arrived and starts idle clients; others work on.

    clients_per_round clients are at work after every merge. A merge without an update leaves the model as it
    is and counts as a step. If every job ends within the period, this is a synchronous server.
    """

    period_s: float = Field(gt=0, allow_inf_nan=False, description="time between merges", examples=[5.0])

    def n_to_start(self, server: Server) -> int:
        begins = server.now_s == server.step_s and not server.n_ended
        return server.n_per_round - server.n_running if begins else 0

    def timer_s(self, server: Server) -> float:
        return server.step_s + self.period_s

    def is_due(self, server: Server) -> bool:
        return server.timer_rang
