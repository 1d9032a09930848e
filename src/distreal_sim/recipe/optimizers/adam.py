"""Adam, as torch.optim.Adam has it.

Kingma, Ba: Adam: A Method for Stochastic Optimization. ICLR 2015, arXiv 1412.6980. amsgrad: Reddi, Kale,
Kumar: On the Convergence of Adam and Beyond. ICLR 2018, arXiv 1904.09237.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor
from torch.optim.adam import adam

from distreal_sim.recipe.optimizers import Optimizer


class Adam(Optimizer):
    """Steps along a running mean of the gradient, divided by the root of that of its square."""

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
        adam(
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
