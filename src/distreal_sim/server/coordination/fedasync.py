"""FedAsync: every update is merged when it arrives.

Xie, Koyejo, Gupta: Asynchronous Federated Optimization. OPT workshop at NeurIPS 2019, arXiv 1903.03934. With
staleness s the model becomes (1 - alpha w(s)) x model + alpha w(s) x client's model. The form of w and its
constants are from memory of the paper (alpha 0.6 or 0.9; polynomial a 0.5; hinge a 10, b 4).

Differs from the paper: a client that trained a part of the network moves that part only (our choice); the
proximal term of the paper's clients is method `fedprox`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from distreal_sim.server.coordination import Server
from distreal_sim.server.coordination._weights import Overlapping


class FedAsync(Overlapping):
    """Asynchronous: clients_per_round clients are at work at any time; each update is merged on arrival."""

    alpha: float = Field(0.6, gt=0, le=1, description="how far a fresh update moves the model")

    moves: ClassVar[str] = "model"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.compares:
            raise ValueError(
                "staleness deviation compares the updates of a step, and fedasync merges each by itself; "
                "take polynomial, or coordination fedbuff or semi_async"
            )
        return self

    def n_merged(self, n_per_round: int) -> int:
        return 1

    def n_to_start(self, server: Server) -> int:
        return server.n_per_round - server.n_running

    def is_due(self, server: Server) -> bool:
        return server.n_received > 0

    def rate(self, weights: Sequence[float]) -> float:
        return self.alpha * weights[0]
