"""Compares a thinned network with the full network with dropped channels zeroed, operation by operation.

Each operation of the thinned network, given the inputs of the full network's operation, must return that
operation's values at the kept channels. So an effect that a rule misses, or code that reads or holds a width,
shows at the operation that causes it.
"""

from __future__ import annotations

import copy
import re
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.coupling.cut import cut, torch_index
from distreal_sim.thinning.coupling.operations import (
    operation_name,
    outputs_in,
    results_of,
    seed_operation,
    tensors_in,
)
from distreal_sim.thinning.coupling.record import Visit
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure, ThinningError

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

MEANS_OF_HEADS = "multi_head_attention_forward"
"""The operation whose second result, if it has no axis of heads, is a mean over them."""

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}


class Failure(NamedTuple):
    """A module, by qualified name, whose code does not run rightly at a smaller width, and why."""

    module: str
    reason: str


class _StopError(Exception):
    """The thinned network took another path, so that its operations cannot be compared any further."""


def try_thinned(
    module: nn.Module,
    structure: Structure,
    seen: Trace,
    visits: list[Visit],
    example: Tensor,
    mask: Mask,
) -> list[Failure]:
    """Runs the traced network of `seen`, and a copy of `module` at the mask's width, and compares them.

    module: the network as it was before the traced passes; visits: the operations that `seen` recorded in a
    pass. Returns the modules in which an operation of the two differs, and why. Raises ThinningError for a
    network that could not be trained either.
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
            index = torch_index(structure.tensors[name], mask.kept)
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
    except _StopError:
        return thinned.failures
    except ThinningError:
        raise
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        thinned.fail(thinned.failed_with(error))
        return thinned.failures
    del alive  # kept until here, because `names` needs their ids
    found = [tuple(t.shape) for t in outputs]
    if found != expected and not thinned.failures:
        reason = f"at a smaller width its outputs have shapes {found} in place of {expected}"
        return [Failure("", reason)]
    return thinned.failures


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
            dropped = torch.from_numpy(np.flatnonzero(~kept))
            # One of several views of a tensor must not be changed, and need not: the tensor has zeros there.
            if own and not _overlaps(value) and bool(value.index_select(dim, dropped).any()):
                value.index_fill_(dim, dropped, 0)
            value = value.index_select(dim, torch.from_numpy(np.flatnonzero(kept)))
        return value.clone()


class _Thinned(TorchFunctionMode):
    """Compares the result of each operation with the expected one, and continues with the expected one."""

    def __init__(self, visits: list[Visit], expected: list[list[Tensor]], names: dict[int, str]) -> None:
        super().__init__()
        self.visits, self.expected, self.names = visits, expected, names
        self.at = 0
        self.failures: list[Failure] = []
        self.reshapes = False
        """Whether the next operation gives another shape to the same values."""

    @property
    def _module(self) -> str:
        return self.visits[min(self.at, len(self.visits) - 1)].module

    def fail(self, reason: str) -> None:
        """Notes a failure in the module of the current operation."""
        failure = Failure(self._module, reason)
        if all(known.module != failure.module for known in self.failures):
            self.failures.append(failure)

    def failed_with(self, error: Exception) -> str:
        """The reason for code that raises at a smaller width."""
        return f"at a smaller width it fails with: {error}" + (f"; {_CONSTANT}" if self.reshapes else "")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        seed_operation(0, self.at)
        name = operation_name(func)
        self.reshapes = name in ("view", "reshape", "unflatten", "expand")
        for operand in tensors_in((args, kwargs)):
            if id(operand) in self.names:
                where = self.visits[min(self.at, len(self.visits) - 1)].where
                raise ThinningError(
                    f"{where} cannot be trained: its code keeps '{self.names[id(operand)]}' in a plain "
                    "Python list or dict too; use it from its module only"
                )
        try:
            out = func(*args, **(kwargs or {}))
        except Exception as error:  # the next operations are tried with the right result in its place
            return self._replaced(name, error)
        results = results_of(name, args, out)
        if not results:
            return out
        if self.at == len(self.visits) or self.visits[self.at].operation != name:
            self.fail(f"with fewer channels its code takes another path, to '{name}'")
            raise _StopError
        visit = self.visits[self.at]
        expected = self.expected[self.at]
        for result, value, axes, own in zip(results, expected, visit.axes, visit.own, strict=True):
            if name == MEANS_OF_HEADS and result is not results[0] and not axes:
                continue  # the trace leaves networks whole that read it
            reason = self._difference(name, result, value, axes)
            if reason is not None:
                self.fail(reason)
                if result.shape != value.shape:
                    return self._replaced(name, None)
            if own and result._base is None:  # a view shows values that have been replaced
                with torch.no_grad():
                    result.detach().copy_(value)
        self.at += 1
        return out

    def _replaced(self, name: str, error: Exception | None) -> Any:
        """The expected result of an operation that fails, or has another shape, at a smaller width."""
        visit = self.visits[min(self.at, len(self.visits) - 1)]
        if error is not None:
            self.fail(self.failed_with(error))
        if visit.operation != name or name.endswith("_") or self.at == len(self.visits):
            raise _StopError
        values = [value.clone() for value in self.expected[self.at]]
        self.at += 1
        return values[0] if len(values) == 1 else tuple(values)

    def _difference(
        self, name: str, result: Tensor, value: Tensor, axes: dict[int, np.ndarray]
    ) -> str | None:
        if result.shape != value.shape:
            for dim, atoms in axes.items():
                n = result.shape[dim] if result.dim() == value.dim() else -1
                if n not in (-1, value.shape[dim]):
                    return (
                        f"'{name}' gives {n} channels where a thinned network has {value.shape[dim]} (full: "
                        f"{len(atoms)}); {_CONSTANT}"
                    )
            advice = "; name the axis that it is meant for, or use x.flatten(1)" if "squeeze" in name else ""
            return (
                f"'{name}' gives shape {tuple(result.shape)} where a thinned network has {tuple(value.shape)}"
                + advice
            )
        if not value.is_floating_point() or _OTHER_VALUES.fullmatch(name):
            return None
        known = value.isfinite()
        difference = (result.detach() - value)[known].abs()
        allowed = _TOLERANCE.get(value.dtype, 0.05) * value[known].abs()
        if difference.numel() and float(difference.max()) > float(allowed.max()) + 1e-6:
            return (
                f"'{name}' gives other values with fewer channels than where the dropped ones are zero; if "
                "its code reads the width from a shape (such as x.shape[1]), keep the number in the module "
                "instead"
            )
        return None


def _overlaps(tensor: Tensor) -> bool:
    """Whether some elements of the tensor share memory."""
    return any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
