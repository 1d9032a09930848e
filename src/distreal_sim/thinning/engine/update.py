"""The update rule of a step, that of torch.optim.SGD; other rules: `optimizer.py`.

With the gradient g of a loss, and a proximal term mu / 2 * |w - anchor|^2 where there is one:

    v = momentum * v + g + weight_decay * w + mu * (w - anchor)
    w = w - lr * v
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Rule(Protocol):
    """An update rule, with the options that are the same for all steps."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the tensors that it keeps for a parameter, of its shape and 0 at first."""
        ...

    def at(self, lr: float, proximal: float = 0.0) -> StepRule:
        """The rule of one step; proximal: mu."""
        ...


class StepRule(Protocol):
    """The rule of one step. Callers disable autograd."""

    @property
    def proximal(self) -> float:
        """mu, of which `pulled` takes account in the gradients."""
        ...

    def along_all(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Sequence[list[Tensor]],
        n_steps: list[Tensor],
    ) -> None:
        """Updates parameters and their states.

        states: a list for each of `Rule.states`; n_steps: a scalar for each parameter, the steps so far, for
        rules that count them.
        """
        ...


@dataclass(frozen=True)
class Sgd:
    """The options of the rule that are the same for all steps."""

    momentum: float = 0.0
    weight_decay: float = 0.0

    @property
    def states(self) -> tuple[str, ...]:
        """The velocity v, which only momentum keeps between steps."""
        return ("velocity",) if self.momentum else ()

    def at(self, lr: float, proximal: float = 0.0) -> Descent:
        """The rule of one step; proximal: mu."""
        return Descent(lr, self.momentum, self.weight_decay, proximal)


class Descent(NamedTuple):
    """The rule of one step. Callers disable autograd."""

    lr: float
    momentum: float
    weight_decay: float
    proximal: float

    def along(self, weight: Tensor, gradient: Tensor, velocity: Tensor | None, anchor: Tensor | None) -> None:
        """Updates a parameter and its velocity."""
        if anchor is not None:
            gradient = torch.add(gradient, weight - anchor, alpha=self.proximal)
        self._apply(_One, weight, gradient, velocity)

    def along_all(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: Sequence[list[Tensor]],
        n_steps: list[Tensor],
    ) -> None:
        """Updates parameters and their velocities together."""
        self._apply(_Many, weights, gradients, states[0] if states else None)

    def _apply(self, ops: Any, weight: Any, gradient: Any, velocity: Any) -> None:
        """The rule itself; ops: `_One` for tensors, `_Many` for lists of them."""
        if self.weight_decay:
            gradient = ops.add(gradient, weight, alpha=self.weight_decay)
        if self.momentum:
            ops.mul_(velocity, self.momentum)
            ops.add_(velocity, gradient)
            gradient = velocity
        if self.lr:  # adding 0 * gradient could still turn -0.0 into 0.0
            ops.add_(weight, gradient, alpha=-self.lr)

    def along_product(
        self, weight: Tensor, grad_out: Tensor, x: Tensor, velocity: Tensor | None, anchor: Tensor | None
    ) -> None:
        """The same for a weight (out, in) whose gradient is the product grad_out (n, out)' x (n, in).

        The product is not stored but added directly to the velocity or the weight, which adds the same terms
        in another order.
        """
        decay = self.weight_decay + self.proximal
        if velocity is not None:
            velocity.addmm_(grad_out.t(), x, beta=self.momentum)
            if decay:
                velocity.add_(weight, alpha=decay)
            if anchor is not None:
                velocity.add_(anchor, alpha=-self.proximal)
            if self.lr:
                weight.add_(velocity, alpha=-self.lr)
        elif self.lr:
            weight.addmm_(grad_out.t(), x, beta=1 - self.lr * decay, alpha=-self.lr)
            if anchor is not None:
                weight.add_(anchor, alpha=self.lr * self.proximal)


class _One:
    """Operations on single tensors."""

    add, add_, mul_ = torch.add, Tensor.add_, Tensor.mul_


class _Many:
    """The same operations on lists of tensors, with fewer calls."""

    add, add_, mul_ = torch._foreach_add, torch._foreach_add_, torch._foreach_mul_


def pulled(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], anchors: Sequence[Tensor], proximal: float
) -> list[Tensor]:
    """The gradients with those of the proximal term, as if autograd had found both."""
    away = torch._foreach_sub(list(weights), list(anchors))
    return list(torch._foreach_add(list(gradients), away, alpha=proximal))


def clipped(gradients: Sequence[Tensor], max_norm: float) -> list[Tensor]:
    """All gradients as one vector, scaled down to this norm where it is longer (torch's clip_grad_norm_)."""
    factor = torch.clamp(max_norm / (torch.nn.utils.get_total_norm(gradients) + 1e-6), max=1.0)
    return [gradient * factor for gradient in gradients]
