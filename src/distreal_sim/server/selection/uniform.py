"""Clients drawn uniformly, without replacement.

The clients of McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
AISTATS 2017; that only those are drawn that can start is our choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from distreal_sim.client.messages import Arrays
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._walk import draw


class Uniform(Selection):
    """Every set of clients that can start is as likely; the same for every method."""

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        return draw(pool.n_clients, pool.size, pool.rngs("cohort"), pool.there), memory
