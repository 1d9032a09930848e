"""Peak memory of a training step in closed form: a formula in the kept channels and the batch size.

A step is run on fake tensors, which have shapes and no values, at a few widths and batch sizes. Each of its
tensors then has a formula for each dimension: a number times the batch size, the length of an axis of the
network (`thinning.structure`), or both. The step allocates and frees the same tensors in the same order at
every width, so the bytes alive after each allocation are sums of these formulas, and their maximum is the
peak: parameters, gradients, the optimizer's state, activations, and whatever else is alive at that moment.

The step is one of plain PyTorch on the dense sub-network, with an optimizer that changes one parameter after
the other in place. What kernels allocate inside, and what Python and libraries take, is not counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import Axis, Counts, Structure, axis_length, is_cut

BATCHES = (3, 5, 7, 4)
"""Batch sizes of the traced steps, each with a width of its own."""

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TrainingStep:
    """What a step is besides the network.

    x, y: an example and its target, (1, ...), of which only shapes and types count; loss: of outputs and
    targets; n_states: tensors that the optimizer keeps for each parameter; weight_decay: whether it adds to
    the gradients, for which it copies one at a time.
    """

    x: Tensor
    y: Tensor
    loss: Loss = F.cross_entropy
    n_states: int = 0
    weight_decay: bool = False


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records which storages an operation makes, and when they are freed.

    events: (index of the storage, whether it was made); shapes: of each storage, of the first tensor in it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[tuple[int, bool]] = []
        self.shapes: list[tuple[int, tuple[int, ...]]] = []
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def see(self, tensors: Any) -> None:
        """Notes the storages of these tensors that are new."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage not in self._known:
                    index = self._known[storage] = len(self.shapes)
                    self.shapes.append((tensor.element_size(), tuple(tensor.shape)))
                    self.events.append((index, True))
                    weakref.finalize(storage, self.events.append, (index, False)).atexit = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.see(found)
        return found


def with_fakes(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The module itself, its parameters and buffers replaced by fake ones."""
    for part in module.modules():
        for name, own in part._parameters.items():
            if own is not None:
                part._parameters[name] = nn.Parameter(mode.from_tensor(own.detach()), own.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    return module


def record(module: nn.Module, step: TrainingStep, n_examples: int) -> Recorder:
    """The storages of a step; the module's parameters become fake."""
    recorder, mode = Recorder(), FakeTensorMode()
    with_fakes(module, mode)
    with mode:
        x, y = (torch.zeros(n_examples, *t.shape[1:], dtype=t.dtype) for t in (step.x, step.y))
        trained = [p for p in module.parameters() if p.requires_grad]
        states = [torch.zeros_like(p) for p in trained for _ in range(step.n_states)]
        with recorder:
            recorder.see([[*module.parameters(), *module.buffers()], states, x, y])
            step.loss(module(x), y).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for parameter in trained:
                    if parameter.grad is not None:
                        gradient = parameter.grad
                        parameter.add_(gradient.add(parameter) if step.weight_decay else gradient)
    return recorder


@dataclass(frozen=True)
class Length:
    """The length of a dimension: factor x the batch size (if `batch`) x the length of `axis` (if any)."""

    factor: float
    batch: bool
    axis: Axis


@dataclass(frozen=True, eq=False)
class PeakMemory:
    """Peak bytes of a training step; made by `peak_memory_of`.

    lengths: the distinct dimensions; tensors: (itemsize, its dimensions) of each storage, distinct ones once;
    live: (events, tensors) int: how many of each are alive.
    """

    lengths: tuple[Length, ...]
    tensors: tuple[tuple[int, tuple[int, ...]], ...]
    live: np.ndarray

    def __call__(self, counts: Sequence[int], n_examples: int) -> int:
        """Bytes at the peak of a step on n_examples with `counts` (G,) kept channels."""
        lengths = np.array([_value(length, counts, n_examples) for length in self.lengths])
        sizes = [itemsize * np.prod(lengths[list(dims)], initial=1.0) for itemsize, dims in self.tensors]
        return round(float((self.live @ np.array(sizes)).max()))


def _value(length: Length, counts: Sequence[int], n_examples: int) -> float:
    return (
        length.factor
        * (n_examples if length.batch else 1)
        * (axis_length(length.axis, counts) if length.axis else 1)
    )


def peak_memory_of(module: nn.Module, structure: Structure, step: TrainingStep) -> PeakMemory:
    """The formula for a network; takes some traced steps.

    Raises InputError where the steps of several widths are not the same operations.
    """
    rng = np.random.default_rng(0)
    widths = [structure.full_counts(), *(_some_counts(structure, rng) for _ in BATCHES[1:])]
    traced = [record(shrink(module, structure, w), step, b) for w, b in zip(widths, BATCHES, strict=True)]
    events = traced[0].events
    if any(own.events != events for own in traced):
        raise InputError(
            f"the memory of {type(module).__name__} has no formula: what it allocates depends on its width"
        )
    axes = dict.fromkeys(axis for t in structure.tensors.values() for axis in t.axes if is_cut(axis))
    find = partial(_length, widths=widths, axes=list(axes), known={})
    lengths: dict[Length, int] = {}
    tensors: dict[tuple[int, tuple[int, ...]], int] = {}
    kinds = []
    for each in zip(*(own.shapes for own in traced), strict=True):
        dims = [find(sizes) for sizes in zip(*(shape for _, shape in each), strict=True)]
        placed = tuple(sorted(lengths.setdefault(own, len(lengths)) for own in dims))
        kinds.append(tensors.setdefault((each[0][0], placed), len(tensors)))
    alive = np.zeros(len(tensors), np.int64)
    live = []
    for index, made in events:
        alive[kinds[index]] += 1 if made else -1
        if made:
            live.append(alive.copy())
    return PeakMemory(tuple(lengths), tuple(tensors), np.unique(np.array(live), axis=0))


def _some_counts(structure: Structure, rng: np.random.Generator) -> Counts:
    return tuple(
        group.blocks * int(rng.integers(1, group.channels // group.blocks + 1)) for group in structure.groups
    )


def _length(
    sizes: tuple[int, ...],
    *,
    widths: Sequence[Counts],
    axes: Sequence[Axis],
    known: dict[tuple[int, ...], Length],
) -> Length:
    """The formula of a dimension that has these sizes at the traced widths and batch sizes.

    Raises InputError where there is none.
    """
    if sizes not in known:
        for axis in [(), *axes]:
            for batch in (False, True):
                unit = [_value(Length(1, batch, axis), w, b) for w, b in zip(widths, BATCHES, strict=True)]
                if all(size * unit[0] == sizes[0] * own for size, own in zip(sizes, unit, strict=True)):
                    known[sizes] = Length(sizes[0] / unit[0], batch, axis)
                    return known[sizes]
        raise InputError(f"the memory of a step has no formula: a dimension is {sizes} at the traced widths")
    return known[sizes]
