"""Rules for layers with weights: convolutions, linear layers, normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.base.text import counted
from distreal_sim.thinning.coupling.channels import Channels, WidthAttribute
from distreal_sim.thinning.coupling.operations import OF_A_BATCH, tensors_in
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import Layer, ThinningError

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
    channels = channels_on(trace, x, 1)
    n_in, n_out = len(channels.atoms), weight.shape[0]
    name = _weight(trace, weight)
    depthwise = groups == n_in > 1 and not trace.couplings.is_fixed(channels.atoms)
    if depthwise:
        atoms = np.repeat(channels.atoms, n_out // n_in)
        trace.bind(name, 0, atoms)
        width_attribute(trace, "groups", channels.atoms, groups)
    else:
        trace.bind(name, 1, channels.atoms)
        if groups > 1:
            trace.weight_blocks[name] = groups
            trace.blocked.append((trace.where, channels.atoms, groups))
        atoms = trace.produced(name, n_out, "conv")
        if groups > 1:
            trace.blocked.append((trace.where, atoms, groups))
        trace.scaled[name] = channels.atoms
    finish(trace, args, kwargs, x, name, out, 1, atoms, out.numel() // n_out)


def conv_transpose(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before
) -> None:
    """F.conv_transpose1d, 2d, 3d: the weight has its input channels first and is used at every input."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    groups = int(argument(args, kwargs, 6, "groups", 1))
    channels = channels_on(trace, x, 1)
    name = _weight(trace, weight)
    trace.bind(name, 0, channels.atoms)
    trace.transposed.add(name)
    if groups == 1:
        atoms = trace.produced(name, weight.shape[1], "conv", 1)
        trace.scaled[name] = channels.atoms
    elif groups == len(channels.atoms):
        atoms = np.repeat(channels.atoms, weight.shape[1])
        width_attribute(trace, "groups", channels.atoms, groups)
    else:
        trace.whole(channels.atoms, "a grouped transposed convolution has no rule")
        atoms = np.zeros(out.shape[1], np.int64)
    finish(trace, args, kwargs, x, name, out, 1, atoms, x.numel() // x.shape[1])


def linear(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.linear over the last axis."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    channels = channels_on(trace, x, x.dim() - 1)
    name = _weight(trace, weight)
    if weight.dim() != 2:
        raise trace.refuse("its weight is a vector, for which no rule says what it does to channels")
    trace.bind(name, 1, channels.atoms)
    trace.scaled[name] = channels.atoms
    if name in trace.tables:
        trace.whole(channels.atoms, "its weight is a table of tokens too")
    atoms = trace.produced(name, weight.shape[0], "linear")
    finish(trace, args, kwargs, x, name, out, out.dim() - 1, atoms, out.numel() // weight.shape[0])


def batch_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.batch_norm: each channel by itself."""
    x = argument(args, kwargs, 0, "input")
    channels = channels_on(trace, x, 1)
    for place, key in ((1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias")):
        vector_on(trace, argument(args, kwargs, place, key), channels.atoms)
    trace.set_channels(out, 1, channels.atoms)


def instance_norm(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before
) -> None:
    """F.instance_norm, whose module checks its own width."""
    batch_norm(trace, args, kwargs, out, before)
    channels = channels_on(trace, argument(args, kwargs, 0, "input"), 1)
    width_attribute(trace, "num_features", channels.atoms, len(channels.atoms))


def group_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.group_norm: the statistics are over the kept channels."""
    x, groups = argument(args, kwargs, 0, "input"), int(argument(args, kwargs, 1, "num_groups"))
    channels = channels_on(trace, x, 1)
    if groups == len(channels.atoms):
        width_attribute(trace, "num_groups", channels.atoms, groups)
    elif groups > 1:
        trace.blocked.append((trace.where, channels.atoms, groups))
    for place, key in ((2, "weight"), (3, "bias")):
        vector_on(trace, argument(args, kwargs, place, key), channels.atoms)
    trace.set_channels(out, 1, channels.atoms)


def layer_norm(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before, bias: bool = True
) -> None:
    """F.layer_norm: over the kept channels where the channel axis is among the normalised ones.

    A residual stream stays whole, see `Trace.keep_streams`.
    """
    x = argument(args, kwargs, 0, "input")
    shape = tuple(argument(args, kwargs, 1, "normalized_shape"))
    channels = trace.channels(x)
    if channels is None:
        for tensor in tensors_in((args, kwargs)):
            trace.lose(tensor, "")
        return
    axis = channels.dim - (x.dim() - len(shape))
    vectors = [argument(args, kwargs, 2, "weight"), argument(args, kwargs, 3, "bias") if bias else None]
    if axis >= 0:
        trace.normed.append((trace.current[0], trace.where, channels.atoms))
        width_attribute(trace, "normalized_shape", channels.atoms, shape, axis)
        for vector in vectors:
            vector_on(trace, vector, channels.atoms, axis)
    trace.set_channels(out, channels.dim, channels.atoms)


def rms_norm(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.rms_norm: like layer_norm, without a bias."""
    layer_norm(trace, args, kwargs, out, before, bias=False)


def prelu(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.prelu with one slope, or one slope per channel."""
    x, weight = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    if weight.numel() > 1:
        vector_on(trace, weight, channels_on(trace, x, 1).atoms)
    channels = trace.channels(x)
    if channels is not None:
        trace.set_channels(out, channels.dim, channels.atoms)


def channels_on(trace: Trace, x: Tensor, dim: int) -> Channels:
    """The input's channels on axis `dim`; all fixed if none of them could be dropped."""
    if trace.is_parameter(x):
        raise trace.refuse("its input is a parameter: weights are computed in the forward pass")
    channels = trace.channels(x)
    if channels is not None and channels.dim == dim:
        return channels
    if channels is not None:
        reason = f"it works on axis {dim} of its input, but the channels lie on axis {channels.dim}"
        trace.whole(channels.atoms, reason)
    return Channels(dim, np.zeros(x.shape[dim], np.int64))


def _weight(trace: Trace, weight: Tensor) -> str:
    name = trace.name_of(weight)
    if name is None:
        raise trace.refuse(
            "its weight is computed (for example by weight_norm or weight standardisation), not a parameter"
        )
    return name


def vector_on(trace: Trace, vector: Any, atoms: np.ndarray, dim: int = 0) -> None:
    """A vector along the channels; dim: which of its axes that is."""
    if vector is None or vector.shape[dim] == 1:
        return
    axes = trace.axes_of(vector)
    if dim in axes:
        trace.couplings.unite(axes[dim], atoms)
    elif trace.is_derived(vector):
        trace.couplings.fix(atoms)
    else:
        trace.whole(atoms, f"a tensor made in its code fixes the width at {len(atoms)} channels")


def finish(
    trace: Trace,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    x: Tensor,
    name: str,
    out: Tensor,
    dim: int,
    atoms: np.ndarray,
    total: int,
    weight: Tensor | None = None,
) -> None:
    """Records a layer; total: how often the pass uses each of its weights."""
    vector_on(trace, argument(args, kwargs, 2, "bias"), atoms)
    positions = positions_of(trace, total)
    used = argument(args, kwargs, 1, "weight") if weight is None else weight
    needed = x.requires_grad + used.requires_grad
    trace.now.nodes.append([out.grad_fn] if out.grad_fn is not None else [])
    trace.now.layers.append(Layer(trace.current[0], name, positions, needed, trace.upstream(x)))
    trace.set_channels(out, dim, atoms)


def positions_of(trace: Trace, total: int) -> int:
    """Positions per example of a layer that has `total` of them for all examples.

    Raises ThinningError if that is no whole number.
    """
    n = trace.now.n_examples
    positions, left = divmod(total, n)
    if left:
        raise ThinningError(
            f"{trace.where} cannot be simulated: it has {counted(total, 'position')} for {n} examples, so "
            f"that {OF_A_BATCH}"
        )
    return positions


def width_attribute(
    trace: Trace, attribute: str, atoms: np.ndarray, full: tuple[int, ...] | int, index: int | None = None
) -> None:
    """Records that the current module's attribute holds the width `atoms`; functional calls have none."""
    name, module = trace.current
    if hasattr(module, attribute) and getattr(module, attribute) == full:
        trace.attributes[name, attribute] = WidthAttribute(name, attribute, atoms, full, index)


LAYER_RULES = {
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), conv_transpose),
    "linear": linear,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "prelu": prelu,
}
