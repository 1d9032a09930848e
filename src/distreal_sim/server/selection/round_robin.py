"""Clients in turn: our formulation of the simplest fair order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

import numpy as np

from distreal_sim.client.messages import Arrays
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._walk import first


class RoundRobin(Selection):
    """The next ones in the order of their numbers; whoever cannot start is passed over until later."""

    remembers: ClassVar[bool] = True

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        turn = int(memory.get("next", np.array(0)))
        order = chain(range(turn, pool.n_clients), range(turn))
        chosen = first(order, pool.size, pool.there)
        after = (chosen[-1] + 1) % pool.n_clients if chosen else turn
        return chosen, {"next": np.array(after)}
