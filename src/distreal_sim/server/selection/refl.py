"""REFL: those who are going to be away first.

Abdelmoniem, Sahu, Canini, Fahmy: REFL: Resource-Efficient Federated Learning. EuroSys 2023, arXiv 2111.01108.
Clients that can start now and foresee that they cannot at the next selection have priority; the rest is drawn
at random; a client that took part rests for some rounds. The other half of REFL, merging late updates in the
round in which they arrive, is `coordination: {name: semi_async, staleness: deviation, max_staleness: ...}`.

Differs from the paper: a client foresees its next selection, where the paper looks up the time from one to
two expected rounds ahead, and its answer is right with probability `hit_rate`; late
updates that are expected lower the number of selected clients only in `semi_async`, where all that are at
work count (our choice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.client.messages import Arrays
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._records import Records
from distreal_sim.server.selection._walk import draw


class Refl(Selection):
    """Least available first."""

    candidates: float = Field(
        3.0, ge=1, allow_inf_nan=False, description="clients that are asked for each one that is selected"
    )
    rest_rounds: int = Field(5, ge=0, description="rounds in which a client is not selected again")
    hit_rate: float = Field(1.0, ge=0, le=1, description="probability that a client foresees rightly")

    remembers: ClassVar[bool] = True

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        last = Records(memory, ["last"])

        def rested(client_ids: np.ndarray) -> np.ndarray:
            since = pool.number - last.values("last", client_ids.tolist(), -np.inf)
            fit: np.ndarray = (since > self.rest_rounds) & pool.there(client_ids)
            return fit

        n_asked = min(pool.n_clients, round(self.candidates * pool.size))
        asked = np.array(draw(pool.n_clients, n_asked, pool.rngs("cohort"), rested), np.int64)
        rng = pool.rngs("foresight")
        right = rng.random(len(asked)) < self.hit_rate
        stays = (pool.there_next(asked) if len(asked) else np.zeros(0, bool)) == right
        order = np.lexsort((rng.random(len(asked)), stays))
        chosen = sorted(asked[order[: pool.size]].tolist())
        for client_id in chosen:
            last.of[client_id] = {"last": float(pool.number)}
        return chosen, last.arrays()
