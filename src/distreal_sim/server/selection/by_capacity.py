"""The fastest of some candidates, as they say when they are asked.

Nishio, Yonetani: Client Selection for Federated Learning with Heterogeneous Resources in Mobile Edge. ICC
2019, arXiv 1804.08333: the server asks random candidates for their resources and takes those that fit the
round.

Differs from the paper: the `clients_per_round` candidates of the shortest expected time are taken; the paper
takes as many as fit the deadline with uploads one after another (our choice). The question costs no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from distreal_sim.client.messages import Arrays
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._walk import draw


class ByCapacity(Selection):
    """Those of `candidates` times as many random clients whose work takes the shortest time at present."""

    candidates: float = Field(
        2.0, ge=1, allow_inf_nan=False, description="clients that are asked for each one that is selected"
    )

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        n_asked = min(pool.n_clients, round(self.candidates * pool.size))
        asked = np.array(draw(pool.n_clients, n_asked, pool.rngs("cohort"), pool.there), np.int64)
        fastest = np.argsort(pool.expected_s(asked), kind="stable")[: pool.size] if len(asked) else asked
        return sorted(asked[fastest].tolist()), memory
