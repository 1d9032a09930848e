"""Large linear layers whose weight gradient is not written to fresh memory.

The weight of a linear layer behind a flatten is most of a small network, and it is used for only a batch of
multiplications per element: its step is bound by memory. A thinned step adds the gradient's product straight
onto the weight (one matrix multiplication, in the backward pass); a dense step computes it into memory that
is kept, with the bits that autograd gives.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_ELEMENTS = 1 << 16
"""Smaller weights stay in the cache; they are left to autograd."""


class LargeLinear:
    """Stands in for the `forward` of one nn.Linear of the engine's private copy.

    Off until a step sets `into` (where the gradient is put) or `velocity` and the rates (fused update).
    """

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self.off()

    def off(self) -> None:
        """Leaves the layer to autograd."""
        self.into: Tensor | None = None
        self.fused: tuple[Tensor | None, float, float, float] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        layer = self.layer
        active = self.into is not None or self.fused is not None
        if active and x.dim() == 2 and torch.is_grad_enabled():
            out: Tensor = _Linear.apply(x, layer.weight, layer.bias, self)  # type: ignore[no-untyped-call]
            return out
        return F.linear(x, layer.weight, layer.bias)

    def weight_gradient(self, weight: Tensor, grad_out: Tensor, x: Tensor) -> Tensor | None:
        """The gradient, or None once the weight has been updated with it."""
        if self.fused is None:
            assert self.into is not None
            return torch.mm(grad_out.t(), x, out=self.into)
        velocity, lr, momentum, weight_decay = self.fused
        # Views of one arena share a version counter: without `.data` autograd would believe that whatever
        # else it has saved of the arena has changed too.
        weight = weight.data
        if velocity is not None:
            velocity.addmm_(grad_out.t(), x, beta=momentum)
            if weight_decay:
                velocity.add_(weight, alpha=weight_decay)
            if lr:
                weight.add_(velocity, alpha=-lr)
        elif lr:
            weight.addmm_(grad_out.t(), x, beta=1 - lr * weight_decay, alpha=-lr)
        return None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, owner: LargeLinear) -> Tensor:
        ctx.save_for_backward(x)
        ctx.weight, ctx.owner, ctx.has_bias = weight, owner, bias is not None
        return F.linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (x,) = ctx.saved_tensors
        # The input's gradient needs the weight as it was: first.
        grad_x = grad_out.mm(ctx.weight) if ctx.needs_input_grad[0] else None
        grad_bias = grad_out.sum(0) if ctx.has_bias else None
        return grad_x, ctx.owner.weight_gradient(ctx.weight, grad_out, x), grad_bias, None
