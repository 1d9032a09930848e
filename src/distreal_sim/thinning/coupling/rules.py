"""Rules: the effect of each torch operation on the channel axes of its inputs.

An operation without a rule is never guessed: it runs whole, and so do the channels that it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.layer_rules import LAYER_RULES
from distreal_sim.thinning.coupling.moves import move
from distreal_sim.thinning.coupling.operations import IN_PLACE, results_of, tensors_in
from distreal_sim.thinning.coupling.product_rules import PRODUCT_RULES
from distreal_sim.thinning.coupling.products import count
from distreal_sim.thinning.coupling.sequence_rules import SEQUENCE_RULES
from distreal_sim.thinning.coupling.shape_rules import SHAPE_RULES
from distreal_sim.thinning.coupling.trace import Trace

Rule = Callable[[Trace, tuple[Any, ...], dict[str, Any], Any, dict[int, tuple[int, ...]]], None]

ELEMENTWISE = re.compile(
    r"(relu|relu6|leaky_relu|elu|selu|celu|gelu|silu|mish|hardtanh|hardswish|hardsigmoid|sigmoid|tanh"
    r"|softplus|softsign|logsigmoid|log_sigmoid|tanhshrink|hardshrink|softshrink|threshold|rrelu"
    r"|abs|neg|negative|exp|expm1|log|log1p|log2|sqrt|rsqrt|square|pow|sign|erf|sin|cos|tan|atan|reciprocal"
    r"|floor|ceil|round|trunc|frac|fmod|remainder|clamp|clamp_min|clamp_max|clip|nan_to_num"
    r"|add|sub|subtract|mul|multiply|div|divide|true_divide|rsub|maximum|minimum|where|lerp|addcmul|addcdiv"
    r"|masked_fill|gt|ge|lt|le|eq|ne|greater|less|isnan|isfinite|isinf|logical_(and|or|not|xor)"
    r"|__[ri]?(add|sub|mul|truediv|pow|and|or|xor)__|__(neg|abs|invert|gt|ge|lt|le|eq|ne)__"
    r"|dropout[123]?d?|feature_dropout|alpha_dropout|feature_alpha_dropout|bernoulli|uniform|normal|fill|zero"
    r"|contiguous|clone|detach|requires_grad|to|float|double|half|bfloat16|bool|int|long|type|type_as|copy)_?"
    r"|(zeros|ones|empty|rand|randn|full|randint)_like|\.(data|real)"
)
"""Elementwise operations, with broadcasting; also in place (`name_`)."""

SUM = re.compile(r"(add|sub|subtract|rsub|__[ri]?(add|sub)__)_?")

PER_CHANNEL = re.compile(
    r"_?((max|avg|lp|adaptive_avg|adaptive_max)_pool([123])d(_with_indices)?|interpolate|upsample)"
)
"""Operations on each feature map (n, c) separately: dimensions 0 and 1 stay, the others may change."""

HARMLESS = re.compile(r"new_(zeros|ones|empty|full|tensor)|\.(grad|shape)")
"""Operations that return a tensor without channels of its own."""


def apply_rule(
    trace: Trace,
    func: Any,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    out: Any,
    before: dict[int, tuple[int, ...]],
) -> None:
    """Records the channel axis of `out`. before: shapes of the inputs before an in-place operation.

    Raises NoRuleError for an operation without a rule.
    """
    operands = tensors_in((args, kwargs))
    rule = (
        LAYER_RULES.get(name)
        or PRODUCT_RULES.get(name)
        or SEQUENCE_RULES.get(name)
        or SHAPE_RULES.get(name.removesuffix("_"))
        or SHAPE_RULES.get(name)
    )
    if name in ("max", "min") and sum(isinstance(a, Tensor) for a in args) == 2:
        rule = None
    pooling = PER_CHANNEL.fullmatch(name)
    if kwargs.get("out") is not None:
        for tensor in operands:
            trace.lose(tensor, f"'{name}' writes into a given tensor (out=), which cannot be followed")
        count(trace, func, name, args, kwargs, out)
    elif rule is not None:
        rule(trace, args, kwargs, out, before)
    elif ELEMENTWISE.fullmatch(name) or name in ("max", "min"):
        if SUM.fullmatch(name):
            _add_up(trace, operands)
        elementwise(trace, operands, tensors_in(out)[0])
    elif pooling is not None:
        per_channel(trace, args, kwargs, out, pooling.group(3))
    elif not HARMLESS.fullmatch(name):
        if any(trace.is_derived(t) or trace.axes_of(t) for t in operands):
            raise trace.refuse(f"no rule says what the operation '{name}' does to channels")
        count(trace, func, name, args, kwargs, out)
    if IN_PLACE.fullmatch(name):
        _changed_in_place(trace, results_of(name, args, out)[0])


def _changed_in_place(trace: Trace, changed: Tensor) -> None:
    """Refuses channels written in place into a view, because its base would hold them without a record."""
    base = changed._base
    channels = trace.channels(changed)
    if base is not None and channels is not None and not trace.axes_of(base):
        trace.whole(channels.atoms, "it writes channels into a part of a tensor made in its code")


def elementwise(trace: Trace, tensors: list[Tensor], result: Tensor) -> None:
    """Broadcast operation: channels of the operands at the same position become the same channels."""
    places: dict[int, np.ndarray] = {}  # position of an axis, counted from the right -> its atoms
    hidden: set[int] = set()  # positions where an activation has channels that may be dropped
    for tensor in tensors:
        for dim, atoms in trace.axes_of(tensor).items():
            place = tensor.dim() - dim
            if len(atoms) != result.shape[result.dim() - place]:
                continue  # one channel, broadcast: no group of one channel is ever cut
            if place in places:
                trace.couplings.unite(places[place], atoms)
            else:
                places[place] = atoms
            if not trace.is_parameter(tensor):
                hidden.add(place)
    hidden = {p for p in hidden if not trace.couplings.is_fixed(places[p])} or hidden
    if len(hidden) > 1 and any(not trace.couplings.is_fixed(places[p]) for p in hidden):
        raise trace.refuse("it combines tensors whose channels lie on different axes")
    own = any(not trace.is_parameter(t) and (trace.axes_of(t) or trace.is_derived(t)) for t in tensors)
    for place, atoms in places.items():
        for tensor in tensors:
            dim = tensor.dim() - place
            if dim < 0 or tensor.shape[dim] == 1 or dim in trace.axes_of(tensor):
                continue
            if trace.is_derived(tensor) or not own:
                trace.couplings.fix(atoms)  # this tensor always has the same positions here
            else:
                trace.whole(atoms, f"a tensor made in its code fixes the width at {len(atoms)} channels")
    if own:
        for place in places.keys() - hidden:
            trace.couplings.fix(places[place])
        places = {p: places[p] for p in list(hidden)[:1]}
    parameters = [t for t in tensors if trace.is_parameter(t)]
    axes = {result.dim() - place: atoms for place, atoms in places.items()}
    trace.put(result, axes, parameters[0] if parameters and not own else None, same=False)


def _add_up(trace: Trace, tensors: list[Tensor]) -> None:
    """Records the channels of a sum of activations with other channels: a residual stream."""
    terms = [c.atoms for c in map(trace.channels, tensors) if c is not None and len(c.atoms) > 1]
    if len({tuple(trace.couplings.find(atoms)) for atoms in terms}) > 1:
        trace.sums.append(terms[0])


def per_channel(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, n_axes: str | None
) -> None:
    """Pooling and similar operations over (n, C, ...); n_axes: number of pooled axes after the channels."""
    x = args[0] if args else kwargs["input"]
    channels = trace.channels(x)
    if channels is None:
        trace.lose(x, "")
        return
    if n_axes is not None and x.dim() != int(n_axes) + 2:
        trace.whole(
            channels.atoms,
            f"it pools a tensor of {x.dim()} axes over {n_axes}, which takes the channels for positions",
        )
    if channels.dim != 1:
        trace.whole(channels.atoms, f"it works on axis 1, but the channels lie on axis {channels.dim}")
    for result in tensors_in(out):
        known = x.dim() == result.dim() and channels.dim == 1
        move(trace, x, result, _stays if known else _is_lost)


def _stays(dim: int) -> int | None:
    return dim


def _is_lost(dim: int) -> int | None:
    return None
