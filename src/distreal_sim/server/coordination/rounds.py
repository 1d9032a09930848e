"""Rounds: a cohort starts, and the round ends at the deadline, or as `round_end` and `overrun` say.

All jobs of a round end within it, so its end is a formula (`Simulation.end_s`) and no event falls in between.
The server of McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
AISTATS 2017, which has no deadline. Differs from the paper: rounds have one (our choice).
"""

from __future__ import annotations

from typing import ClassVar

from distreal_sim.server.coordination import Coordination, Server


class Rounds(Coordination):
    """Synchronous rounds of the same length, `deadline_s`."""

    in_rounds: ClassVar[bool] = True

    def n_to_start(self, server: Server) -> int:
        return 0 if server.n_running or server.n_ended else server.n_per_round

    def is_due(self, server: Server) -> bool:
        return server.n_running == 0
