"""Over-selection: more clients start than are merged.

Bonawitz et al.: Towards Federated Learning at Scale: System Design. MLSys 2019, arXiv 1902.01046. The paper
selects 130 % of its goal (from memory) and ignores those that come late.

Differs from the paper: by default a server that receives fewer updates than its goal merges those that it
has (our choice); `least` abandons the round below a minimum, as in the paper. A job that is not needed any
more stops at once (our choice), where the paper's clients learn it when they report.
"""

from __future__ import annotations

import math

from pydantic import Field

from distreal_sim.server.coordination import Coordination, Server


class FirstK(Coordination):
    """The first clients_per_round updates are merged, of `over` times as many clients that start.

    The others are cancelled at that moment and charged what they did until then. The server does not wait
    for more updates once all jobs have ended; each ends by its own deadline unless `overrun` is `wait`. An
    abandoned round leaves the model as it is, and all that was sent in it is refused, but charged.
    """

    over: float = Field(
        1.3, ge=1, allow_inf_nan=False, description="clients that start for each one that is merged"
    )

    least: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of clients_per_round below which a round is abandoned, without a merge",
        examples=[0.8],
    )

    def least_received(self, n_per_round: int) -> int:
        return math.ceil(self.least * n_per_round * (1 - 1e-12))

    def most_running(self, n_per_round: int) -> int:
        return math.ceil(self.over * n_per_round * (1 - 1e-12))

    def n_to_start(self, server: Server) -> int:
        return 0 if server.n_running or server.n_ended else self.most_running(server.n_per_round)

    def is_due(self, server: Server) -> bool:
        return server.n_received >= server.n_per_round or server.n_running == 0
