"""RMSprop, as torch.optim.RMSprop has it.

Tieleman, Hinton: Lecture 6.5, rmsprop. COURSERA: Neural Networks for Machine Learning, 2012.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor
from torch.optim.rmsprop import rmsprop

from distreal_sim.recipe.optimizers import Optimizer


class RMSprop(Optimizer):
    """The gradient, divided by the root of a running mean of its square."""

    alpha: float = Field(0.99, ge=0, lt=1, description="decay of the running mean of the gradient's square")
    eps: float = Field(1e-8, gt=0, allow_inf_nan=False, description="added to the root")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that the next one repeats")
    centered: bool = Field(False, description="divides by the root of an estimate of the variance")

    @property
    def states(self) -> tuple[str, ...]:
        centered = ["grad_avg"] if self.centered else []
        return ("square_avg", *centered, *(["momentum_buffer"] if self.momentum else []))

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        rmsprop(
            weights,
            gradients,
            states["square_avg"],
            states.get("grad_avg", []),
            states.get("momentum_buffer", []),
            n_steps,
            foreach=True,
            lr=lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            centered=self.centered,
        )
