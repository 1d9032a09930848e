"""What torch's flop counter counts, and what it does not know by the numbers that an operation multiplies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def flops(run: Callable[[], Any]) -> int:
    """Two for each multiply-add, with grouped convolutions as one dense convolution a group.

    Attention runs as plain matrix products, because the counter does not know the kernel for processors. The
    counter's tracker of modules is left out, because it fails for modules that compute weights.
    """
    aten = torch.ops.aten
    mapping = {
        aten.convolution_backward: _convolution_backward,
        aten.baddbmm_: _raw(lambda added, a, b, *more: a.numel() * b.shape[-1]),
        aten.mv: _raw(lambda matrix, vector: (matrix * vector).numel()),
        aten._trilinear: _raw(_trilinear),
        aten._cdist_forward: _raw(lambda a, b, *more: _differences(a, b)),
        aten._cdist_backward: _raw(lambda grad, a, b, *more: _differences(a, b)),
    }
    counter = FlopCounterMode(display=False, custom_mapping=mapping)
    counter.mod_tracker = SimpleNamespace(
        parents=["Global"], __enter__=lambda: None, __exit__=lambda *args: None
    )
    with sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return int(counter.get_total_flops())


def _raw(n_products: Callable[..., int]) -> Callable[..., int]:
    """A formula that gets the tensors themselves, of as many products as it says."""

    def formula(*args: Any, out_val: Any = None) -> int:
        return 2 * n_products(*args)

    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


def _convolution_backward(
    grad: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, wanted: Sequence[bool], out_shape: Any = None,
) -> int:  # fmt: skip
    """2 x elements of the weight x positions, for each of the wanted gradients of input and weight."""
    positions = math.prod((x if transposed else grad)[2:])
    return 2 * int(grad[0]) * math.prod(weight) * positions * (bool(wanted[0]) + bool(wanted[1]))


def _differences(a: Tensor, b: Tensor) -> int:
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).numel()


def _trilinear(
    a: Tensor, b: Tensor, c: Tensor,
    without_a: Sequence[int], without_b: Sequence[int], without_c: Sequence[int], summed: Sequence[int],
) -> int:  # fmt: skip
    """Two products in turn; what c does not have is summed in between."""
    for axis in without_a:
        a = a.unsqueeze(axis)
    for axis in without_b:
        b = b.unsqueeze(axis)
    for axis in without_c:
        c = c.unsqueeze(axis)
    between = [axis for axis in summed if axis in without_c]
    first = a * b
    left = first.sum(between, keepdim=True) if between else first
    return first.numel() + (left * c).numel()
