"""Clients whose gradient has a large inner product with that of all, FOLB's sampler.

Nguyen, Sehwag, Hosseinalipour, Brinton, Chiang, Poor: Fast-Convergent Federated Learning. IEEE JSAC
39(1):201-218, 2021, arXiv 2007.13137 (equations from memory): client k is drawn with a probability
proportional to |<g, g_k>|, with g_k its gradient at the present model and g their mean ("LB-near-optimal").

Every client that can start computes its gradient and sends it, so this is for comparisons rather than for
use: method `folb` approaches it with uniform clients. Differs from the paper: clients are drawn without
repetition, and g is the mean by examples over the clients that answer within `wait` (our choice). The signs
with which the paper merges the drawn updates are part of the weights of `folb`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from distreal_sim.client.messages import Arrays
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._walk import draw, draw_by_weight


class InnerProduct(Selection):
    """Drawn by the size of the inner product of a client's gradient with the mean one."""

    wait: float = Field(
        0.5, gt=0, lt=1, description="share of deadline_s after which the server waits for no more answers"
    )

    @property
    def asks(self) -> bool:
        return True

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        every = np.arange(pool.n_clients)
        every = every[pool.there(every)]
        answers = pool.gradients(every, self.wait * pool.deadline_s) if len(every) else []
        known = [(int(c), g) for c, g in zip(every, answers, strict=True) if g is not None]
        if not known:
            return draw(pool.n_clients, pool.size, pool.rngs("cohort"), pool.there), memory
        ids = np.array([client_id for client_id, _ in known])
        gradients = np.array([gradient for _, gradient in known])
        products = np.abs(gradients @ np.average(gradients, axis=0, weights=pool.sizes[ids]))
        if not products.any():
            products = np.ones(len(ids))
        drawn = draw_by_weight(products, pool.rngs("cohort"))[: pool.size]
        return sorted(ids[drawn].tolist()), memory
