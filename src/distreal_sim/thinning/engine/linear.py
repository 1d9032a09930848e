"""Linear layers whose weight is updated in the backward pass, without storing a gradient.

The weight of a linear layer after a flatten is most of a small network, and each element takes part in only
one multiplication per example, so its step is bound by memory. Therefore one matrix multiplication adds the
gradient directly to the weight; and the forward product is computed in the orientation in which the matrix
library need not rearrange the weight first. Neither loses precision: the same terms are added in another
order, at the layer's own precision.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.thinning.engine.update import Descent

MIN_ELEMENTS = 1 << 16
"""Smallest weight that is updated this way; smaller weights fit in the cache and are left to autograd."""

MIN_BATCH = 16
"""Batch size from which weight @ x' is faster than x @ weight'."""

VERY_LARGE_ELEMENTS = 1 << 19
MIN_BATCH_VERY_LARGE = 8
"""The same for weights with at least VERY_LARGE_ELEMENTS elements."""


class LargeLinear:
    """Replaces the `forward` of one nn.Linear in the engine's private copy.

    Autograd handles the layer until a step calls `on`.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self._descent: Descent | None = None
        self._weight: Tensor | None = None
        self._velocity: Tensor | None = None
        self._anchor: Tensor | None = None
        self._n_calls = 0
        self.updated = False
        """Whether the last backward pass after `on` has updated the weight."""

    def on(self, descent: Descent, weight: Tensor, velocity: Tensor | None, anchor: Tensor | None) -> None:
        """Lets the next backward pass update the weight, if the layer is used with this weight object."""
        self._descent, self._weight, self._velocity, self._anchor = descent, weight, velocity, anchor
        self._n_calls, self.updated = 0, False

    def off(self) -> None:
        """Leaves the layer to autograd."""
        self._descent = self._weight = self._velocity = self._anchor = None

    def __call__(self, x: Tensor) -> Tensor:
        layer = self.layer
        if self._descent is not None and torch.is_grad_enabled():
            self._n_calls += 1
            if x.dim() == 2 and layer.weight is self._weight:
                with torch.autocast(x.device.type, enabled=False):
                    out: Tensor = _Linear.apply(x.to(layer.weight.dtype), layer.weight, layer.bias, self)  # type: ignore[no-untyped-call]
                    return out
        return F.linear(x, layer.weight, layer.bias)

    def weight_gradient(self, weight: Tensor, grad_out: Tensor, x: Tensor) -> Tensor | None:
        """None once the weight has been updated; its gradient where the layer was used more than once."""
        if self._descent is None or self._n_calls != 1:
            return grad_out.t().mm(x)
        # Views of one arena share a version counter: without `.data` autograd would treat all other tensors
        # that it has saved from the arena as changed.
        self._descent.along_product(weight.data, grad_out, x, self._velocity, self._anchor)
        self.updated = True
        return None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, owner: LargeLinear) -> Tensor:
        ctx.save_for_backward(x)
        ctx.weight, ctx.owner, ctx.has_bias = weight, owner, bias is not None
        if len(x) < (MIN_BATCH_VERY_LARGE if weight.numel() >= VERY_LARGE_ELEMENTS else MIN_BATCH):
            return F.linear(x, weight, bias)
        out = weight.mm(x.t()) if bias is None else torch.addmm(bias[:, None], weight, x.t())
        return out.t().clone(memory_format=torch.contiguous_format)  # a view could not be changed in place

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (x,) = ctx.saved_tensors
        # The input's gradient comes first, because it needs the weight before the update.
        grad_x = grad_out.mm(ctx.weight) if ctx.needs_input_grad[0] else None
        grad_bias = grad_out.sum(0) if ctx.has_bias else None
        return grad_x, ctx.owner.weight_gradient(ctx.weight, grad_out, x), grad_bias, None
