"""Power of choice: of random candidates those of the highest loss.

Cho, Wang, Joshi: Towards Understanding Biased Client Selection in Federated Learning. AISTATS 2022, PMLR 151,
10351-10375, arXiv 2010.01243. Candidates are drawn without replacement by their shares of the examples.

Differs from the paper: of its variants this is rpow-d, which costs nothing: the loss of a candidate is that
of its last training, and one that was never heard of counts as infinite. pow-d and cpow-d, which evaluate the
model on the candidates first, are not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.client.messages import Arrays, Facts
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._records import Records
from distreal_sim.server.selection._walk import draw_by_weight, first


class PowerOfChoice(Selection):
    """Those of `candidates` times as many clients whose training loss was the highest when last heard of."""

    candidates: float = Field(
        2.0, ge=1, allow_inf_nan=False, description="candidates for each client that is selected"
    )

    remembers: ClassVar[bool] = True

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        n_candidates = min(pool.n_clients, round(self.candidates * pool.size))
        order = draw_by_weight(pool.sizes, pool.rngs("candidates"))
        drawn = first(order, n_candidates, pool.there)
        losses = Records(memory, ["loss"]).values("loss", drawn, math.inf)
        highest = np.argsort(-losses, kind="stable")[: pool.size]
        return sorted(drawn[i] for i in highest.tolist()), memory

    def learn(self, memory: Arrays, number: int, facts: Sequence[Facts]) -> Arrays:
        records = Records(memory, ["loss"])
        for fact in facts:
            if not math.isnan(fact.train_loss):
                records.of[fact.client_id] = {"loss": fact.train_loss}
        return records.arrays()
