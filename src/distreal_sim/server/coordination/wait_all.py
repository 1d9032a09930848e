"""A synchronous server that waits for all clients that it started.

The server of McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
AISTATS 2017. Differs from the paper: a client has a deadline unless `overrun` is `wait` (our choice).
"""

from __future__ import annotations

from distreal_sim.server.coordination import Coordination, Server


class WaitAll(Coordination):
    """A cohort starts, and the server merges as soon as the last job of it has ended.

    Every job has its own deadline, deadline_s after its start. With `overrun: wait` all clients do all of
    their planned work. A cohort without an available client lasts deadline_s.
    """

    def n_to_start(self, server: Server) -> int:
        return 0 if server.n_running or server.n_ended else server.n_per_round

    def is_due(self, server: Server) -> bool:
        return server.n_running == 0
