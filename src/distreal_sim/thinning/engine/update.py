"""The update rule of a step, that of torch.optim.SGD; no other module depends on the optimiser.

With the gradient g of a loss, and a proximal term mu / 2 * |w - anchor|^2 where there is one:

    v = momentum * v + g + weight_decay * w + mu * (w - anchor)
    w = w - lr * v
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sgd:
    """The options of the rule that are the same for all steps."""

    momentum: float = 0.0
    weight_decay: float = 0.0

    @property
    def has_velocity(self) -> bool:
        """Whether a parameter has a velocity v that persists between steps."""
        return self.momentum > 0

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
        self._apply(_One, weight, gradient, velocity, anchor)

    def along_all(
        self,
        weights: list[Tensor],
        gradients: Sequence[Tensor | None],
        velocities: list[Tensor],
        anchors: list[Tensor],
    ) -> None:
        """Updates parameters and their velocities together; parameters without a gradient do not change.

        velocities, anchors: one for each parameter, or empty where the rule has none.
        """
        if any(g is None for g in gradients):
            used = [i for i, g in enumerate(gradients) if g is not None]
            weights = [weights[i] for i in used]
            gradients = [gradients[i] for i in used]
            velocities = [velocities[i] for i in used] if velocities else []
            anchors = [anchors[i] for i in used] if anchors else []
        if weights:
            self._apply(_Many, weights, gradients, velocities, anchors)

    def _apply(self, ops: Any, weight: Any, gradient: Any, velocity: Any, anchor: Any) -> None:
        """The rule itself; ops: `_One` for tensors, `_Many` for lists of them."""
        if self.proximal:
            gradient = ops.add(gradient, ops.sub(weight, anchor), alpha=self.proximal)
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

    add, sub, add_, mul_ = torch.add, torch.sub, Tensor.add_, Tensor.mul_


class _Many:
    """The same operations on lists of tensors, with fewer calls."""

    add, sub = torch._foreach_add, torch._foreach_sub
    add_, mul_ = torch._foreach_add_, torch._foreach_mul_


def clipped(gradients: Sequence[Tensor | None], max_norm: float) -> list[Tensor | None]:
    """All gradients as one vector, scaled down to this norm where it is longer (torch's clip_grad_norm_)."""
    norm = torch.nn.utils.get_total_norm([g for g in gradients if g is not None])
    factor = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    return [None if g is None else g * factor for g in gradients]
