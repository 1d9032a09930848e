"""Power of choice: of random candidates those of the highest loss.

Cho, Wang, Joshi: Towards Understanding Biased Client Selection in Federated Learning. AISTATS 2022, PMLR 151,
10351-10375, arXiv 2010.01243. Candidates are drawn without replacement by their shares of the examples.

Its variants are values of `evaluate`: pow-d (`all`) and cpow-d (`batch`) send the model to the candidates
first, which evaluate it on all of their examples or on one mini-batch; rpow-d (`never`) costs nothing: the
loss of a candidate is that of its last training, and one that was never heard of counts as infinite. With
`halve_every` candidates become fewer, down to those that are selected (adapow-d; that it is by halves is from
memory).

The paper's mean over the selected clients is plain, which is `merge.weight: clients`.

Differs from the paper: the server waits for losses no longer than `wait`, and candidates whose loss comes
later are not selected; selected clients begin to train when the server stops to wait. Losses are those of
the network in training mode (our choice).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

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

    evaluate: Literal["never", "batch", "all"] = Field(
        "never", description="examples on which candidates evaluate the model before some are selected"
    )
    wait: float = Field(
        0.5, gt=0, lt=1, description="share of deadline_s after which the server waits for no more losses"
    )

    halve_every: int | None = Field(
        None,
        ge=1,
        description="selections after which there are half as many candidates, though not fewer than wanted",
        examples=[50],
    )

    remembers: ClassVar[bool] = True

    @property
    def asks(self) -> bool:
        return self.evaluate != "never"

    def n_candidates(self, size: int, number: int) -> int:
        """Candidates of a selection of `size` clients, if there are as many."""
        halves = 0 if self.halve_every is None else (number - 1) // self.halve_every
        return max(size, round(self.candidates * size) >> min(halves, 60))

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        n_candidates = min(pool.n_clients, self.n_candidates(pool.size, pool.number))
        order = draw_by_weight(pool.sizes, pool.rngs("candidates"))
        drawn = first(order, n_candidates, pool.there)
        if self.asks and drawn:
            n_batches = 1 if self.evaluate == "batch" else 0
            losses = pool.losses(np.array(drawn), n_batches, self.wait * pool.deadline_s)
            drawn = [client_id for client_id, loss in zip(drawn, losses, strict=True) if loss != -math.inf]
            losses = losses[losses != -math.inf]
        else:
            losses = Records(memory, ["loss"]).values("loss", drawn, math.inf)
        highest = np.argsort(-losses, kind="stable")[: pool.size]
        return sorted(drawn[i] for i in highest.tolist()), memory

    def learn(self, memory: Arrays, number: int, facts: Sequence[Facts]) -> Arrays:
        records = Records(memory, ["loss"])
        for fact in facts:
            if not math.isnan(fact.train_loss):
                records.of[fact.client_id] = {"loss": fact.train_loss}
        return records.arrays()
