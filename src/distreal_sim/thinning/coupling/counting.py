"""Multiply-adds of operations that are no layers, by torch's flop counter.

An operation is repeated on copies of its operands, in float64 and with attention as plain matrix products, so
that no fused kernel hides its products from the counter. `formulas.py` has the operations with products that
the counter does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.coupling.formulas import formulas
from distreal_sim.thinning.coupling.operations import tensors_in


class Macs(NamedTuple):
    """MACs of one call: forward, and backward for the gradients of weights, of other operands, of all."""

    forward: int
    weights: int
    inputs: int
    both: int


def flops_of(call: Callable[[], Any]) -> int:
    """Floating-point operations of a call, two for each multiply-add.

    Raises UnknownCostError for an operation whose cost is not known.
    """
    with counter_of_flops() as counter:
        call()
    return counter.get_total_flops()


@contextmanager
def counter_of_flops() -> Iterator[FlopCounterMode]:
    """A counter of the block's floating-point operations; fused kernels are split into their products.

    Raises UnknownCostError for an operation whose cost is not known.
    """
    counter = FlopCounterMode(display=False, custom_mapping=formulas())
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with sdpa_kernel(SDPBackend.MATH), _without_onednn(), counter:
        yield counter


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Recurrent layers without oneDNN, whose kernels hide their products from the counter."""
    flags = torch.backends.mkldnn.set_flags
    enabled, *_ = flags(_enabled=False, _fp32_precision=None)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        flags(_enabled=enabled, _fp32_precision=None)  # type: ignore[no-untyped-call]


class _NoModules:
    """Replaces the hooks by which the counter finds the module of each operation; some modules break them."""

    parents = ("Global",)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        pass


def macs_of(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    weights: Collection[int],
    grad: bool,
) -> Macs:
    """MACs of func(*args, **kwargs), which is not called on the tensors themselves.

    weights: ids of the tensors that are parameters; grad: whether gradients of its results are needed.
    """
    needed = [t for t in tensors_in((args, kwargs)) if t.requires_grad] if grad else []
    own = {id(t) for t in needed if id(t) in weights}
    others = {id(t) for t in needed} - own

    def backward(of: set[int]) -> tuple[int, int]:
        copies = _Copies(of)
        results: list[Tensor] = []
        with torch.enable_grad():
            forward = flops_of(
                lambda: results.extend(tensors_in(func(*copies.of(args), **copies.of(kwargs))))
            )
            total = total_of(results)
            if total is None or not of:
                return forward, 0
            leaves = list(copies.leaves.values())
            back = flops_of(lambda: torch.autograd.grad(total, leaves, allow_unused=True))
        return forward, back

    forward, both = backward(own | others)
    if not both:
        return Macs(forward // 2, 0, 0, 0)
    weights_only = both if not others else backward(own)[1]
    inputs_only = both if not own else backward(others)[1]
    return Macs(forward // 2, weights_only // 2, inputs_only // 2, both // 2)


def total_of(results: list[Tensor]) -> Tensor | None:
    """A number whose backward pass reaches all of these tensors; None if none of them needs a gradient."""
    terms = [
        (torch.view_as_real(t) if t.is_complex() else t).sum().double() for t in results if t.requires_grad
    ]
    return torch.stack(terms).sum() if terms else None


class _Copies:
    """Copies of tensors in nested arguments; those with ids in `wanted` are computed from new leaves."""

    def __init__(self, wanted: set[int]) -> None:
        self.leaves: dict[int, Tensor] = {}
        self._wanted, self._known = wanted, dict[int, Tensor]()

    def of(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._copy(value)
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if type(value) in (tuple, list):
            return type(value)(self.of(item) for item in value)
        return value

    def _copy(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._known:
            copied = tensor.detach().clone()
            if copied.is_floating_point():
                copied = copied.double()
            if id(tensor) in self._wanted:
                self.leaves[id(tensor)] = copied.requires_grad_()
                copied = copied.clone()  # a leaf could not be changed in place
            self._known[id(tensor)] = copied
        return self._known[id(tensor)]


def shapes_key(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], grad: bool) -> Any:
    """What the cost of a call depends on: the operation, its numbers, and shapes of its tensors."""

    def key(value: Any) -> Any:
        if isinstance(value, Tensor):
            return tuple(value.shape), value.requires_grad, value.dtype
        if isinstance(value, dict):
            return tuple((name, key(item)) for name, item in value.items())
        if isinstance(value, (tuple, list)):
            return tuple(key(item) for item in value)
        return repr(value) if isinstance(value, (int, float, str, bool, type(None))) else id(value)

    return func, key(args), key(kwargs), grad
