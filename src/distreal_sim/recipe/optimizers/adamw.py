"""AdamW: Adam with decoupled weight decay, as torch.optim.AdamW has it.

Loshchilov, Hutter: Decoupled Weight Decay Regularization. ICLR 2019, arXiv 1711.05101.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor
from torch.optim.adamw import adamw

from distreal_sim.recipe.optimizers import Optimizer


class AdamW(Optimizer):
    """Adam with a weight decay of its own: weights shrink by lr times weight_decay in every step."""

    weight_decay: float = Field(
        0.01, ge=0, allow_inf_nan=False, description="share of lr by which every step shrinks the weights"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the running mean of the gradient")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of that of its square")
    eps: float = Field(1e-8, gt=0, allow_inf_nan=False, description="added to the root")
    amsgrad: bool = Field(False, description="divides by the root of the largest mean so far")

    @property
    def states(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if self.amsgrad else []))

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        adamw(
            weights,
            gradients,
            states["exp_avg"],
            states["exp_avg_sq"],
            states.get("max_exp_avg_sq", []),
            n_steps,
            foreach=True,
            amsgrad=self.amsgrad,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )
