"""What each torch operation does to the channel axis of its inputs.

An operation without a rule is refused as soon as it touches channels that might be dropped; never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.layer_rules import LAYER_RULES
from distreal_sim.thinning.coupling.shape_rules import SHAPE_RULES
from distreal_sim.thinning.coupling.trace import Channels, Trace, tensors_in

Rule = Callable[[Trace, tuple[Any, ...], dict[str, Any], Any, dict[int, tuple[int, ...]]], None]

ELEMENTWISE = re.compile(
    r"(relu|relu6|leaky_relu|elu|selu|celu|gelu|silu|mish|hardtanh|hardswish|hardsigmoid|sigmoid|tanh"
    r"|softplus|softsign|logsigmoid|log_sigmoid|tanhshrink|hardshrink|softshrink|threshold|rrelu"
    r"|abs|neg|negative|exp|expm1|log|log1p|sqrt|rsqrt|square|pow|sign|erf|sin|cos|reciprocal"
    r"|clamp|clamp_min|clamp_max|nan_to_num|add|sub|subtract|mul|multiply|div|divide|true_divide|rsub"
    r"|maximum|minimum|where|lerp|addcmul|__[ri]?(add|sub|mul|truediv)__|__neg__|__abs__|__pow__"
    r"|dropout[123]?d?|feature_dropout|alpha_dropout|feature_alpha_dropout"
    r"|contiguous|clone|detach|to|float|double|half|bfloat16|type|type_as|copy)_?"
)
"""Operations on each element by itself, with broadcasting; also in place (`name_`)."""

PER_CHANNEL = re.compile(
    r"_?((max|avg|lp|adaptive_avg|adaptive_max)_pool[123]d(_with_indices)?|interpolate|upsample)"
)
"""Operations on each map (n, c) by itself: dimensions 0 and 1 stay, the others may change."""

HARMLESS = re.compile(r"(zeros|ones|empty|rand|randn|full)_like|__get__")
"""Return a new tensor, or a property such as the shape, that carries no channels of its own."""


def apply_rule(
    trace: Trace,
    func: Any,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    out: Any,
    before: dict[int, tuple[int, ...]],
) -> None:
    """Notes the channel axis of `out`. before: shapes of the inputs before an in-place operation.

    Raises ThinningError for an operation without a rule.
    """
    rule = LAYER_RULES.get(name) or SHAPE_RULES.get(name.removesuffix("_")) or SHAPE_RULES.get(name)
    inputs = [t for t in tensors_in((args, kwargs)) if trace.channels(t) is not None]
    if rule is not None:
        rule(trace, args, kwargs, out, before)
    elif ELEMENTWISE.fullmatch(name) or (name == "__get__" and _is_data(func)):
        elementwise(trace, tensors_in((args, kwargs)), out)
    elif PER_CHANNEL.fullmatch(name):
        per_channel(trace, args, kwargs, out)
    elif not HARMLESS.fullmatch(name):
        hidden = [t for t in inputs if not trace.is_fixed(_known(trace, t).atoms)]
        named = [n for t in tensors_in((args, kwargs)) if (n := trace.name_of(t)) is not None]
        if hidden or any(trace.axes[n] for n in named):
            raise trace.refuse(f"no rule says what the operation '{name}' does to channels")
        # Only input channels: whatever comes out has none that could be dropped.
        for result in tensors_in(out):
            if inputs and result.dim() > 1:
                trace.set_channels(result, 1, np.zeros(result.shape[1], np.int64))


def _is_data(func: Any) -> bool:
    return getattr(getattr(func, "__self__", None), "__name__", "") == "data"


def _known(trace: Trace, tensor: Tensor) -> Channels:
    channels = trace.channels(tensor)
    assert channels is not None
    return channels


def elementwise(trace: Trace, tensors: list[Tensor], out: Any) -> None:
    """Broadcast operation: the channels of all operands at the same place become the same channels."""
    (result,) = tensors_in(out)
    places: dict[int, np.ndarray] = {}  # place of the channel axis, counted from the right -> its atoms
    for tensor in tensors:
        channels = trace.channels(tensor)
        if channels is None:
            continue
        place = tensor.dim() - channels.dim
        full = result.shape[result.dim() - place]
        if len(channels.atoms) != full:
            continue  # one channel, broadcast: no group of one channel is ever cut
        if place in places:
            trace.unite(places[place], channels.atoms)
        else:
            places[place] = channels.atoms
    if not places:
        return
    if len(places) > 1 and any(not trace.is_fixed(a) for a in places.values()):
        raise trace.refuse("it combines tensors whose channels lie on different axes")
    place, atoms = next(iter(places.items()))
    for tensor in tensors:
        dim = tensor.dim() - place
        if trace.channels(tensor) is not None or dim < 0 or tensor.shape[dim] == 1:
            continue
        name = trace.name_of(tensor)
        if name is not None:
            trace.bind(name, dim, atoms)
        elif not trace.is_fixed(atoms):
            raise trace.refuse(f"a tensor made in its code fixes the width at {len(atoms)} channels")
    trace.set_channels(result, result.dim() - place, atoms)


def per_channel(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Pooling and the like over (n, C, ...)."""
    x = args[0] if args else kwargs["input"]
    channels = trace.channels(x)
    if channels is None:
        return
    if channels.dim != 1 and not trace.is_fixed(channels.atoms):
        raise trace.refuse(f"it works on axis 1, but the channels lie on axis {channels.dim}")
    for result in tensors_in(out):
        if channels.dim < result.dim() and result.shape[channels.dim] == len(channels.atoms):
            trace.set_channels(result, channels.dim, channels.atoms)
