"""FedBuff: asynchronous clients, and a merge whenever a buffer of updates is full.

Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba: Federated Learning with Buffered Asynchronous
Aggregation. AISTATS 2022, PMLR 151, 3581-3607, arXiv 2106.06639. With changes d_c of the K buffered clients
and their staleness s_c, the model moves by server_lr / K x sum of (1 + s_c)^-1/2 d_c. That
K is 10 is from memory of the paper.

Differs from the paper: a client weighs what `merge.weight` says, too, and `clients` is the paper's; a
coordinate moves by the mean over the clients that trained it, weighted by their staleness, times the mean
staleness weight of the buffer, which is the paper's rule where all train the whole network (our choice).
With `buffer_merge: dilute` it is the paper's rule where they train parts, too: all K clients count, those
that did not train a coordinate with no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from distreal_sim.server.coordination import Server
from distreal_sim.server.coordination._weights import Overlapping


class FedBuff(Overlapping):
    """Asynchronous: clients_per_round clients are at work at any time; `buffer` updates make a merge."""

    buffer: int = Field(10, ge=1, description="updates in a merge")
    server_lr: float = Field(1.0, gt=0, allow_inf_nan=False, description="factor of the model's change")
    normalise: bool = Field(
        False, description="divide by the sum of the staleness weights, not by the number of updates"
    )

    buffer_merge: Literal["coverage", "dilute"] = Field(
        "coverage",
        description="clients that count at a coordinate: those that trained it, or all of the buffer",
    )

    @property
    def dilutes(self) -> bool:
        return self.buffer_merge == "dilute"

    def n_merged(self, n_per_round: int) -> int:
        return self.buffer

    def n_to_start(self, server: Server) -> int:
        return server.n_per_round - server.n_running

    def is_due(self, server: Server) -> bool:
        return server.n_received >= self.buffer

    def rate(self, weights: Sequence[float]) -> float:
        return self.server_lr * (1.0 if self.normalise else sum(weights) / len(weights))
