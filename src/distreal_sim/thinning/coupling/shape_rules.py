"""Rules for operations that only move, join or reduce data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.index_rules import index, pad, set_index, split, unbind
from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs, given, input_of, move
from distreal_sim.thinning.coupling.operations import tensors_in
from distreal_sim.thinning.coupling.reshape_rules import (
    channel_shuffle,
    pixel_shuffle,
    pixel_unshuffle,
    reshape,
)
from distreal_sim.thinning.coupling.trace import Trace


def concatenate(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """torch.cat along the channels, or along another axis of tensors with the same channels."""
    tensors = args[0] if args else kwargs["tensors"]
    dim = int(given(args, kwargs, 1, ("dim", "axis"), 0)) % out.dim()
    _join(trace, tensors, out, dim, lambda d: d)


def stack(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """torch.stack along a new axis."""
    tensors = args[0] if args else kwargs["tensors"]
    dim = int(given(args, kwargs, 1, ("dim",), 0)) % out.dim()
    _join(trace, tensors, out, dim, lambda d: d + (d >= dim))


def _join(trace: Trace, tensors: Any, out: Tensor, along: int, place: Callable[[int], int]) -> None:
    known = [{place(d): a for d, a in trace.axes_of(t).items()} for t in tensors]
    hidden = {d for t, axes in zip(tensors, known, strict=True) if not trace.is_parameter(t) for d in axes}
    if len(hidden) > 1:
        loose = {d for d in hidden if any(d in k and not trace.couplings.is_fixed(k[d]) for k in known)}
        if len(loose) > 1:
            raise trace.refuse("it concatenates tensors whose channels lie on different axes")
        hidden = loose or hidden
    own = not all(map(trace.is_parameter, tensors))
    joined = {}
    for dim in sorted({d for axes in known for d in axes}):
        parts = []
        for tensor, axes in zip(tensors, known, strict=True):
            size = out.shape[dim] if dim != along else tensor.shape[along] if tensor.dim() == out.dim() else 1
            # A tensor made in the code may be appended as fixed channels, but not meet channels elementwise.
            if dim in axes:
                parts.append(axes[dim])
            elif dim == along or size == 1 or trace.is_derived(tensor):
                parts.append(np.zeros(size, np.int64))
            else:
                loose_parts = [k[dim] for k in known if dim in k]
                for atoms in loose_parts:
                    trace.whole(atoms, "it concatenates channels with a tensor made in its code")
                parts.append(np.zeros(size, np.int64))
        if dim == along:
            joined[dim] = np.concatenate(parts)
        else:
            for part in parts[1:]:
                trace.couplings.unite(parts[0], part)
            joined[dim] = parts[0]
        if own and dim not in hidden:
            trace.couplings.fix(joined.pop(dim))
    if own:
        joined = {d: joined[d] for d in list(hidden)[:1]}
    trace.put(out, joined, None if own else tensors[0], same=False)


def permute(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """permute(dims), with the dimensions as one tuple or as separate arguments."""
    x = input_of(args, kwargs)
    dims: Any = kwargs.get("dims", args[1] if len(args) == 2 else args[1:])
    order = [int(d) % x.dim() for d in dims]
    move(trace, x, out, order.index)


def transpose(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """transpose(dim0, dim1)."""
    x = input_of(args, kwargs)
    a = int(args[1] if len(args) > 1 else kwargs["dim0"]) % x.dim()
    b = int(args[2] if len(args) > 2 else kwargs["dim1"]) % x.dim()
    move(trace, x, out, lambda dim: {a: b, b: a}.get(dim, dim))


def reverse(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """t(), .T, .H: all axes in reverse order."""
    x = input_of(args, kwargs)
    move(trace, x, out, lambda dim: x.dim() - 1 - dim)


def swap_last(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """.mT, .mH, adjoint(): the last two axes are swapped."""
    x = input_of(args, kwargs)
    a, b = x.dim() - 2, x.dim() - 1
    move(trace, x, out, lambda dim: {a: b, b: a}.get(dim, dim))


def movedim(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """movedim(source, destination), of one axis or several."""
    x = input_of(args, kwargs)
    source = args[1] if len(args) > 1 else kwargs["source"]
    target = args[2] if len(args) > 2 else kwargs["destination"]
    pairs = zip(*([v] if isinstance(v, int) else v for v in (target, source)), strict=True)
    order = [d for d in range(x.dim()) if d not in {s % x.dim() for s in _many(source)}]
    for to, come in sorted((t % x.dim(), s % x.dim()) for t, s in pairs):
        order.insert(to, come)
    move(trace, x, out, order.index)


def _many(dims: Any) -> list[int]:
    return [int(dims)] if isinstance(dims, int) else [int(d) for d in dims]


def reduce(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """mean, sum, amax, max(dim), std and the like over axes other than the channels."""
    x = input_of(args, kwargs)
    dims = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    if dims is not None and (isinstance(dims, bool) or not isinstance(dims, (int, tuple, list))):
        raise trace.refuse("it reduces over axes that are given in a way that has no rule")
    reduced = {d % x.dim() for d in ([] if dims is None else _many(dims))} or set(range(x.dim()))

    def place(result: Tensor, dim: int) -> int | None:
        if dim in reduced:
            return None
        return dim if result.dim() == x.dim() else dim - sum(d < dim for d in reduced)

    for result in tensors_in(out):
        reason = "it reduces over channels, so a dropped channel would change the result"
        move(trace, x, result, functools.partial(place, result), reason, same=False)


def total(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """sum, also over a parameter's axes (a penalty), because dropped elements add nothing."""
    if not trace.is_parameter(input_of(args, kwargs)):
        reduce(trace, args, kwargs, out, before)
    elif out.dim():
        trace.lose(input_of(args, kwargs), "")


def along(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """cumsum, softmin, sort, flip and the like, which mix or reorder the elements along some axes."""
    x = input_of(args, kwargs)
    dims = kwargs.get("dim", kwargs.get("dims", args[1] if len(args) == 2 else None))
    if dims is None or not isinstance(dims, (int, tuple, list)):
        trace.lose(x, "it works along axes that are given in a way that has no rule")
        return
    mixed = {d % x.dim() for d in _many(dims)}
    for result in tensors_in(out):
        reason = "it works along the axis of channels"
        move(trace, x, result, lambda dim: None if dim in mixed else dim, reason, same=False)


def expand(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """expand, expand_as: new axes are added on the left; a single channel may become many."""
    x = input_of(args, kwargs)
    new = out.dim() - x.dim()
    move(trace, x, out, lambda dim: dim + new, same=False)


def repeat(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """repeat, tile: new axes are added on the left; repeated channels are the same channels."""
    x = input_of(args, kwargs)
    new = out.dim() - x.dim()
    axes = {}
    for dim, atoms in trace.axes_of(x).items():
        axes[dim + new] = np.tile(atoms, out.shape[dim + new] // len(atoms))
    trace.put(out, axes, x, same=False)


def glu(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """glu: the two halves of the channels, which are multiplied, are the same channels."""
    x = input_of(args, kwargs)
    dim = int(given(args, kwargs, 1, ("dim",), -1)) % x.dim()
    axes = dict(trace.axes_of(x))
    if dim in axes:
        first, second = axes[dim].reshape(2, -1)
        trace.couplings.unite(first, second)
        axes[dim] = first
    trace.put(out, axes)


def softmax(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """softmax, log_softmax, softmin: the axis that they run over stays whole."""
    x = input_of(args, kwargs)
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    for place, atoms in trace.axes_of(x).items():
        if dim is None or int(dim) % x.dim() == place:
            trace.couplings.fix(atoms)
    move(trace, x, out, lambda d: d, same=False)


def normalize(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """F.normalize: dropped channels add nothing to a norm."""
    move(trace, input_of(args, kwargs), out, lambda d: d, same=False)


SHAPE_RULES = {
    **dict.fromkeys(
        ("view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel"),
        reshape,
    ),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), softmax),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenate),
    "stack": stack,
    "permute": permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transpose),
    **dict.fromkeys(("t", ".T", ".H"), reverse),
    **dict.fromkeys((".mT", ".mH", "adjoint"), swap_last),
    **dict.fromkeys(("movedim", "moveaxis"), movedim),
    **dict.fromkeys(
        ("mean", "amax", "amin", "max", "min", "std", "var", "logsumexp", "prod", "argmax", "argmin"),
        reduce,
    ),
    "sum": total,
    **dict.fromkeys(("cumsum", "cumprod", "flip", "sort", "argsort"), along),
    **dict.fromkeys(("chunk", "split", "tensor_split"), split),
    **dict.fromkeys(("unbind", "select"), unbind),
    "__getitem__": index,
    "__setitem__": set_index,
    "pad": pad,
    **dict.fromkeys(("expand", "expand_as"), expand),
    **dict.fromkeys(("repeat", "tile"), repeat),
    "normalize": normalize,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
    "glu": glu,
}
