"""Optimizers: how a client's steps change the parameters; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from distreal_sim.base.plugins import Plugin


class Optimizer(Plugin):
    """An update rule. Its state belongs to one client and one round: every round starts without one.

    The rule runs on dense tensors of the kept channels. The state of a channel does not change in a step that
    drops it. A parameter's number of steps, for example in Adam's bias correction, is that of the whole
    tensor: the steps in which it had a gradient.
    """

    package: ClassVar[str] = "distreal_sim.recipe.optimizers"
    label: ClassVar[str] = "optimizer"

    weight_decay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="L2 penalty added to the gradient"
    )

    @property
    @abstractmethod
    def states(self) -> tuple[str, ...]:
        """Names of the tensors that the rule keeps for a parameter, of its shape and 0 at first."""

    @abstractmethod
    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        """One step; changes weights, states and n_steps in place, and no gradient. Autograd is off.

        weights, gradients, each list in `states`, n_steps: an entry for each parameter that has a gradient.
        n_steps: scalars, the steps so far, which the rule counts up.
        """

    def engine_options(self) -> dict[str, Any]:
        """The arguments of `Engine` that make its steps follow this rule."""
        return {"optimizer": self}
