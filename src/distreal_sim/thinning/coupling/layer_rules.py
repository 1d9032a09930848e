"""Channels through layers with weights: convolutions, linear layers, normalisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.trace import Channels, Trace, WidthAttribute
from distreal_sim.thinning.structure import Layer

Before = dict[int, tuple[int, ...]]


def argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, default: Any = None
) -> Any:
    """An argument given by place or by name."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def conv(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.conv1d, conv2d, conv3d: dense, grouped and depthwise."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    groups = int(argument(args, kwargs, 6, "groups", 1))
    channels = _input(trace, x, 1)
    n_in, n_out = len(channels.atoms), weight.shape[0]
    name = _weight(trace, weight)
    depthwise = groups == n_in > 1 and not trace.is_fixed(channels.atoms)
    if depthwise:
        atoms = np.repeat(channels.atoms, n_out // n_in)
        trace.bind(name, 0, atoms)
        _width_attribute(trace, "groups", channels.atoms, groups)
    else:
        if groups > 1:
            trace.weight_blocks[name] = groups
            trace.blocked.append((trace.where, channels.atoms, groups))
        trace.bind(name, 1, channels.atoms)
        atoms = trace.produced(name, n_out, "conv")
        if groups > 1:
            trace.blocked.append((trace.where, atoms, groups))
        trace.scaled[name] = channels.atoms
    _finish(trace, args, kwargs, x, name, out, 1, atoms, math.prod(out.shape[2:]))


def linear(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.linear over the last axis."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    channels = _input(trace, x, x.dim() - 1)
    name = _weight(trace, weight)
    trace.bind(name, 1, channels.atoms)
    trace.scaled[name] = channels.atoms
    atoms = trace.produced(name, weight.shape[0], "linear")
    _finish(trace, args, kwargs, x, name, out, out.dim() - 1, atoms, math.prod(out.shape[1:-1]))


def batch_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.batch_norm: each channel by itself."""
    x = argument(args, kwargs, 0, "input")
    channels = _input(trace, x, 1)
    for place, key in ((1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias")):
        _vector(trace, argument(args, kwargs, place, key), channels.atoms)
    trace.set_channels(out, 1, channels.atoms)


def instance_norm(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before
) -> None:
    """F.instance_norm, whose module checks its own width."""
    batch_norm(trace, args, kwargs, out, before)
    channels = _input(trace, argument(args, kwargs, 0, "input"), 1)
    _width_attribute(trace, "num_features", channels.atoms, len(channels.atoms))


def group_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.group_norm: the statistics are those of the kept channels."""
    x, groups = argument(args, kwargs, 0, "input"), int(argument(args, kwargs, 1, "num_groups"))
    channels = _input(trace, x, 1)
    if groups == len(channels.atoms):
        _width_attribute(trace, "num_groups", channels.atoms, groups)
    elif groups > 1:
        trace.blocked.append((trace.where, channels.atoms, groups))
    for place, key in ((2, "weight"), (3, "bias")):
        _vector(trace, argument(args, kwargs, place, key), channels.atoms)
    trace.set_channels(out, 1, channels.atoms)


def layer_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.layer_norm: over the kept channels where the channel axis is among the normalised ones."""
    x = argument(args, kwargs, 0, "input")
    shape = tuple(argument(args, kwargs, 1, "normalized_shape"))
    channels = trace.channels(x)
    if channels is None:
        return
    axis = channels.dim - (x.dim() - len(shape))
    if axis >= 0:
        _width_attribute(trace, "normalized_shape", channels.atoms, shape, axis)
        for place, key in ((2, "weight"), (3, "bias")):
            _vector(trace, argument(args, kwargs, place, key), channels.atoms, axis)
    trace.set_channels(out, channels.dim, channels.atoms)


def prelu(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.prelu with one slope, or one a channel."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    channels = trace.channels(x)
    if channels is None:
        return
    if weight.numel() > 1:
        _vector(trace, weight, _input(trace, x, 1).atoms)
    trace.set_channels(out, channels.dim, channels.atoms)


def _input(trace: Trace, x: Tensor, dim: int) -> Channels:
    channels = trace.channels(x)
    if channels is None:
        raise trace.refuse("its input comes from an operation whose channels could not be followed")
    if channels.dim != dim:
        if not trace.is_fixed(channels.atoms):
            raise trace.refuse(
                f"it works on axis {dim} of its input, but the channels lie on axis {channels.dim}"
            )
        return Channels(dim, np.zeros(x.shape[dim], np.int64))
    return channels


def _weight(trace: Trace, weight: Tensor) -> str:
    name = trace.name_of(weight)
    if name is None:
        raise trace.refuse("its weight is computed (for example weight_norm), not a parameter")
    return name


def _vector(trace: Trace, vector: Any, atoms: np.ndarray, dim: int = 0) -> None:
    if vector is None:
        return
    name = trace.name_of(vector)
    if name is not None:
        trace.bind(name, dim, atoms)
    elif not trace.is_fixed(atoms):
        raise trace.refuse(f"a tensor made in its code fixes the width at {len(atoms)} channels")


def _finish(
    trace: Trace,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    x: Tensor,
    weight: str,
    out: Tensor,
    dim: int,
    atoms: np.ndarray,
    positions: int,
) -> None:
    """Notes a layer; positions: outputs per filter and entry of axis 0, which need not be one an example."""
    _vector(trace, argument(args, kwargs, 2, "bias"), atoms)
    total = positions * (out.shape[0] if out.dim() > 1 else 1)
    positions, left = divmod(total, trace.n_examples)
    if left:
        raise trace.refuse(
            f"it has {total} positions for {trace.n_examples} examples, so that its cost is not that of an "
            "example times their number"
        )
    needed = x.requires_grad + argument(args, kwargs, 1, "weight").requires_grad
    trace.layers.append(Layer(trace.current[0], weight, positions, needed, trace.behind(x)))
    trace.set_channels(out, dim, atoms)


def _width_attribute(
    trace: Trace, attribute: str, atoms: np.ndarray, full: tuple[int, ...] | int, index: int | None = None
) -> None:
    """The current module's attribute holds the width `atoms`; a functional call has no such attribute."""
    name, module = trace.current
    if hasattr(module, attribute) and getattr(module, attribute) == full:
        trace.attributes[name, attribute] = WidthAttribute(name, attribute, atoms, full, index)


LAYER_RULES = {
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    "linear": linear,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "prelu": prelu,
}
