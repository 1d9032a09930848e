"""Rules of steps other than SGD's: any with a state of the parameter's shape, such as Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor


class Optimizer(Protocol):
    """An update rule (`recipe.optimizers.Optimizer`)."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the tensors that the rule keeps for a parameter, of its shape and 0 at first."""
        ...

    def update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Mapping[str, list[Tensor]],
        n_steps: list[Tensor],
        lr: float,
    ) -> None:
        """One step."""
        ...


@dataclass(frozen=True)
class OptimizerRule:
    """The rule of an optimizer, for `Engine`."""

    optimizer: Optimizer

    @property
    def states(self) -> tuple[str, ...]:
        """Those of the optimizer."""
        return self.optimizer.states

    def at(self, lr: float, proximal: float = 0.0) -> OptimizerStep:
        """The rule of one step; proximal: mu."""
        return OptimizerStep(self.optimizer, lr, proximal)


class OptimizerStep(NamedTuple):
    """The rule of one step. Callers disable autograd."""

    optimizer: Optimizer
    lr: float
    proximal: float

    def along_all(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Sequence[list[Tensor]],
        n_steps: list[Tensor],
    ) -> None:
        """Updates parameters and their states; with a learning rate of 0, neither."""
        if self.lr:
            named = dict(zip(self.optimizer.states, states, strict=True))
            self.optimizer.update(weights, gradients, named, n_steps, self.lr)
