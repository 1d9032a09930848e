"""Memory layout of images and of their gradients.

After a flatten the gradient arrives in PyTorch's default layout, even with channels last. A ReLU then reads
two layouts at once, and a max pooling converts its indices and its whole input gradient there and back;
converting the incoming gradient takes a quarter of that work or less. The values are the same.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from distreal_sim.thinning.structure import MemoryFormat, Structure


def layout_of(wanted: MemoryFormat, structure: Structure, device: str) -> MemoryFormat:
    """The memory format for batches of images.

    The kernel jit_1x1:avx2 of oneDNN 3.12 (torch 2.13) corrupts the heap in the weight gradient of a 1x1
    convolution with channels last, if a number of channels is not a multiple of 8. Thinned layers have any
    number of channels. So networks with 1x1 convolutions keep PyTorch's default layout where that kernel is
    used.
    """
    weights = (structure.tensors[layer.weight].shape for layer in structure.layers)
    pointwise = any(len(shape) == 4 and shape[2:] == (1, 1) for shape in weights)
    return "contiguous" if device == "cpu" and pointwise and computes_in_avx2() else wanted


def computes_in_avx2() -> bool:
    """Whether oneDNN uses its AVX2 convolutions on this processor.

    Users may set a limit (ONEDNN_MAX_CPU_ISA, or DNNL_MAX_CPU_ISA), which is read at the first convolution.
    """
    if not torch.cpu._is_avx2_supported():
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    if limit.upper().startswith("AVX2"):
        return True
    return limit.upper() not in ("SSE41", "AVX") and not torch.cpu._is_avx512_supported()


def keep_layout(module: nn.Module) -> None:
    """Makes modules before a flatten, and max poolings, get gradients in the layout of their outputs."""
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
