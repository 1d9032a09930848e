"""Stochastic gradient descent, with momentum if wanted, as torch.optim.SGD has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor
from torch.optim.sgd import sgd

from distreal_sim.recipe.optimizers import Optimizer


class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum or without; the fastest steps."""

    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that the next one repeats")

    @property
    def states(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        sgd(
            weights,
            gradients,
            list(states.get("momentum_buffer", [None] * len(weights))),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            foreach=True,
        )

    def engine_options(self) -> dict[str, Any]:
        """The engine has this rule built in, with ways to compute it that others do not allow."""
        return {"momentum": self.momentum, "weight_decay": self.weight_decay}
