"""Adagrad, as torch.optim.Adagrad has it.

Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization. JMLR 12,
2011.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor
from torch.optim.adagrad import adagrad

from distreal_sim.recipe.optimizers import Optimizer


class Adagrad(Optimizer):
    """The gradient, divided by the root of the sum of its squares so far."""

    lr_decay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="the rate of step k is divided by 1 + (k - 1) lr_decay"
    )
    eps: float = Field(1e-10, gt=0, allow_inf_nan=False, description="added to the root")

    @property
    def states(self) -> tuple[str, ...]:
        return ("sum",)

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        adagrad(
            weights,
            gradients,
            states["sum"],
            n_steps,
            foreach=True,
            lr=lr,
            weight_decay=self.weight_decay,
            lr_decay=self.lr_decay,
            eps=self.eps,
            maximize=False,
        )
