"""Compares a thinned network with the full network with dropped channels zeroed, operation by operation.

Each operation of the thinned network, given the inputs of the full network's operation, must return that
operation's values at the kept channels. So an effect that a rule misses, or code that reads or holds a width,
shows at the operation that causes it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.coupling.operations import (
    operation_name,
    outputs_in,
    results_of,
    seed_operation,
    tensors_in,
)
from distreal_sim.thinning.coupling.trace import Trace, Visit
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure, TensorLayout, ThinningError, kept_elements

_OTHER_VALUES = re.compile(
    r"(layer|group|rms)_norm|.*dropout.*|rand.*|bernoulli_?|uniform_|normal_?|rrelu.*|multinomial"
    r"|exponential_|(new_)?empty.*"
)
"""Norms over channels, which use the kept channels' statistics, and draws, which depend on their number;
their values differ by design."""

_CONSTANT = (
    "its code holds a constant that fixes the width; take it from the input instead, for example "
    "x.flatten(1) or "
    "x.view(x.shape[0], -1)"
)

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}


def try_thinned(
    module: nn.Module,
    structure: Structure,
    seen: Trace,
    visits: list[Visit],
    example: Tensor,
    mask: Mask,
) -> None:
    """Runs the traced network of `seen`, and a copy of `module` at the mask's width, and compares them.

    module: the network as it was before the traced passes; visits: the operations that `seen` recorded in a
    pass. Raises ThinningError where an operation of the two differs.
    """
    keep = np.ones(seen.couplings.n_atoms, bool)
    for roots, kept in zip(_roots(structure, seen), mask.kept, strict=True):
        if kept is not None:
            keep[roots] = False
            keep[roots[kept]] = True
    seen.module.train(module.training)
    seen.module.load_state_dict(module.state_dict(), strict=False)  # passes change norms' statistics
    with torch.no_grad():
        for name, parameter in seen.module.named_parameters():
            kept_only = torch.zeros_like(parameter)
            index = _torch_index(structure.tensors[name], mask.kept)
            kept_only[index] = parameter[index]
            parameter.copy_(kept_only)
    full = _Full(seen, visits, keep)
    expected = [tuple(t.shape) for t in _run(seen.module, example, full)]
    small = copy.deepcopy(module)
    names = {id(t): name for name, t in [*small.named_parameters(), *small.named_buffers()]}
    alive = [*small.parameters(), *small.buffers()]
    cut(small, structure, mask.kept, mask.counts(structure))
    thinned = _Thinned(visits, full.expected, names)
    try:
        outputs = _run(small, example, thinned)
    except ThinningError:
        raise
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        advice = f"; {_CONSTANT}" if thinned.reshapes else ""
        raise ThinningError(
            f"{thinned.where} cannot be thinned: at a smaller width it fails with: {error}{advice}"
        ) from error
    del alive  # kept until here, because `names` needs their ids
    found = [tuple(t.shape) for t in outputs]
    if found != expected:
        raise ThinningError(
            f"{type(module).__name__} cannot be thinned: at a smaller width its outputs have shapes "
            f"{found} in "
            f"place of {expected}"
        )


def _roots(structure: Structure, seen: Trace) -> list[np.ndarray]:
    """The representatives of each group's channels, in order."""
    found: dict[int, np.ndarray] = {}
    for name, layout in structure.tensors.items():
        for dim, axis in enumerate(layout.axes):
            start = 0
            for segment in axis:
                n = segment.size * segment.inner
                if segment.group >= 0 and segment.group not in found:
                    atoms = seen.axes[name][dim][start : start + n : segment.inner]
                    found[segment.group] = seen.couplings.find(atoms)
                start += n
    return [found[g] for g in range(len(structure.groups))]


def _run(module: nn.Module, example: Tensor, mode: TorchFunctionMode) -> list[Tensor]:
    own = example.clone()  # the network may change it in place
    with torch.random.fork_rng(devices=[]), mode:
        return outputs_in(module(own))


class _Full(TorchFunctionMode):
    """Zeroes dropped channels after every operation; `expected`: each result at the kept channels."""

    def __init__(self, seen: Trace, visits: list[Visit], keep: np.ndarray) -> None:
        super().__init__()
        self.seen, self.visits, self.keep = seen, visits, keep
        self.expected: list[list[Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        seed_operation(0, len(self.expected))
        out = func(*args, **(kwargs or {}))
        results = results_of(operation_name(func), args, out)
        if results:
            visit = self.visits[len(self.expected)]
            self.expected.append([self._kept(*of) for of in zip(results, visit.axes, visit.own, strict=True)])
        return out

    @torch.no_grad()
    def _kept(self, result: Tensor, axes: dict[int, np.ndarray], own: bool) -> Tensor:
        value = result.detach()
        for dim, atoms in axes.items():
            kept = self.keep[self.seen.couplings.find(atoms)]
            if kept.all():
                continue
            if own and not _overlaps(value):
                value.index_fill_(dim, torch.from_numpy(np.flatnonzero(~kept)), 0)
            value = value.index_select(dim, torch.from_numpy(np.flatnonzero(kept)))
        return value.clone()


class _Thinned(TorchFunctionMode):
    """Compares the result of each operation with the expected one, and continues with the expected one."""

    def __init__(self, visits: list[Visit], expected: list[list[Tensor]], names: dict[int, str]) -> None:
        super().__init__()
        self.visits, self.expected, self.names = visits, expected, names
        self.at = 0
        self.reshapes = False
        """Whether the next operation gives another shape to the same values."""

    @property
    def where(self) -> str:
        """The module of the next operation."""
        return self.visits[min(self.at, len(self.visits) - 1)].where

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        seed_operation(0, self.at)
        name = operation_name(func)
        self.reshapes = name in ("view", "reshape", "unflatten", "expand")
        for operand in tensors_in((args, kwargs)):
            if id(operand) in self.names:
                raise self._error(
                    f"its code keeps '{self.names[id(operand)]}' in a plain Python list or dict "
                    f"too; use it from "
                    "its module only"
                )
        out = func(*args, **(kwargs or {}))
        results = results_of(name, args, out)
        if not results:
            return out
        if self.at == len(self.visits) or self.visits[self.at].operation != name:
            raise self._error(f"with fewer channels its code takes another path, to '{name}'")
        visit = self.visits[self.at]
        for result, value, axes, own in zip(
            results, self.expected[self.at], visit.axes, visit.own, strict=True
        ):
            self._compare(name, result, value, axes)
            if own and not _overlaps(result):
                with torch.no_grad():
                    result.detach().copy_(value)
        self.at += 1
        return out

    def _compare(self, name: str, result: Tensor, value: Tensor, axes: dict[int, np.ndarray]) -> None:
        if result.shape != value.shape:
            for dim, atoms in axes.items():
                n = result.shape[dim] if result.dim() == value.dim() else -1
                if n not in (-1, value.shape[dim]):
                    raise self._error(
                        f"'{name}' gives {n} channels where a thinned network has {value.shape[dim]} (full: "
                        f"{len(atoms)}); {_CONSTANT}"
                    )
            advice = "; name the axis that it is meant for, or use x.flatten(1)" if "squeeze" in name else ""
            raise self._error(
                f"'{name}' gives shape {tuple(result.shape)} where a thinned network has {tuple(value.shape)}"
                + advice
            )
        if not value.is_floating_point() or _OTHER_VALUES.fullmatch(name):
            return
        known = value.isfinite()
        difference = (result.detach() - value)[known].abs()
        allowed = _TOLERANCE.get(value.dtype, 0.05) * value[known].abs()
        if difference.numel() and float(difference.max()) > float(allowed.max()) + 1e-6:
            raise self._error(
                f"'{name}' gives other values with fewer channels than where the dropped ones are "
                f"zero; if its "
                "code reads the width from a shape (such as x.shape[1]), keep the number in the "
                "module instead"
            )

    def _error(self, reason: str) -> ThinningError:
        return ThinningError(f"{self.where} cannot be thinned: {reason}")


def _overlaps(tensor: Tensor) -> bool:
    """Whether some elements of the tensor share memory."""
    return any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def cut(
    module: nn.Module, structure: Structure, kept: Sequence[np.ndarray | None], counts: Sequence[int]
) -> None:
    """Cuts the parameters and buffers of `module`, in place, to the kept channels."""
    names = {id(t): name for name, t in [*module.named_parameters(), *module.named_buffers()]}
    smaller: dict[str, Tensor] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for key, tensor in list(tensors.items()):
                name = names.get(id(tensor))
                if tensor is None or name not in structure.tensors:
                    continue
                if name not in smaller:
                    value = tensor.detach()[_torch_index(structure.tensors[name], kept)].clone()
                    trained = tensor.requires_grad
                    smaller[name] = nn.Parameter(value, trained) if tensors is part._parameters else value
                tensors[key] = smaller[name]  # type: ignore[assignment]
    for override in structure.overrides:
        setattr(module.get_submodule(override.module), override.attribute, override.value(counts))


def _torch_index(layout: TensorLayout, kept: Sequence[np.ndarray | None]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(i)) for i in kept_elements(layout, kept))
