"""Gradients that keep the memory layout of what they are gradients of.

Behind a flatten the gradient comes back in PyTorch's normal layout, channels last or not. A ReLU that gets
it so walks through two layouts at once, and a max pooling converts its indices and its whole input gradient
there and back; converting what they get is a quarter of the work, or less. The values are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def keep_layout(module: nn.Module) -> None:
    """Makes what stands before a flatten, and max poolings, get gradients in the layout of their outputs."""
    for part in module.modules():
        if isinstance(part, nn.Flatten):
            part.register_forward_pre_hook(lambda part, args: _watch(args[0]))
        elif isinstance(part, nn.MaxPool2d):
            part.register_forward_hook(lambda part, args, out: _watch(out))


def _watch(activation: Any) -> None:
    if (
        isinstance(activation, Tensor)
        and activation.dim() == 4
        and activation.requires_grad
        and not activation.is_contiguous()
    ):
        activation.register_hook(_channels_last)  # type: ignore[no-untyped-call]


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
