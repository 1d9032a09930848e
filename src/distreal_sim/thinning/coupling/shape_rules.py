"""Channels through operations that only move, join or reduce data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.trace import Channels, Trace, tensors_in

Before = dict[int, tuple[int, ...]]


def _input(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Channels | None]:
    x = args[0] if args else kwargs["input"]
    return x, trace.channels(x)


def reshape(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: each channel may come to own several positions.

    The axis of channels may swallow the axes right of it (each channel then owns a run of positions) and
    left of it (the channels then repeat), but not the examples' axis, and it may not be split.
    """
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    shape = before[id(x)]
    left, right = math.prod(shape[: channels.dim]), math.prod(shape[channels.dim + 1 :])
    n = len(channels.atoms)
    best = None
    for dim in range(out.dim()):
        new_left, new_right = math.prod(out.shape[:dim]), math.prod(out.shape[dim + 1 :])
        fits = left % new_left == 0 and right % new_right == 0
        if fits and out.shape[dim] == (left // new_left) * n * (right // new_right):
            tiles = left // new_left
            if best is None or tiles < best[1]:
                best = dim, tiles, right // new_right
    if best is not None and not (best[0] == 0 < channels.dim):
        dim, tiles, inner = best
        trace.set_channels(out, dim, np.tile(np.repeat(channels.atoms, inner), tiles))
    elif not trace.is_fixed(channels.atoms):
        raise trace.refuse(f"reshaping {shape} to {tuple(out.shape)} splits the axis of channels")
    elif out.dim() > 1:
        trace.set_channels(out, 1, np.zeros(out.shape[1], np.int64))


def concatenate(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before
) -> None:
    """torch.cat along the channels, or along another axis of tensors with the same channels."""
    tensors = args[0] if args else kwargs["tensors"]
    dim = int(args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))) % out.dim()
    known = [trace.channels(t) for t in tensors]
    places = {c.dim for c in known if c is not None}
    if not places:
        return
    if len(places) > 1:
        raise trace.refuse("it concatenates tensors whose channels lie on different axes")
    place = places.pop()
    parts = []
    for tensor, channels in zip(tensors, known, strict=True):
        # A tensor made in the code may be appended as fixed channels, but not meet channels elementwise.
        if channels is None and dim != place:
            raise trace.refuse("it concatenates channels with a tensor made in its code")
        parts.append(np.zeros(tensor.shape[place], np.int64) if channels is None else channels.atoms)
    if dim == place:
        trace.set_channels(out, dim, np.concatenate(parts))
        return
    for part in parts[1:]:
        trace.unite(parts[0], part)
    trace.set_channels(out, place, parts[0])


def permute(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """permute(dims), with the dimensions as one tuple or one by one."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    dims = kwargs.get("dims", args[1] if len(args) == 2 else args[1:])
    order = [int(d) % x.dim() for d in dims]
    trace.set_channels(out, order.index(channels.dim), channels.atoms)


def transpose(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """transpose(dim0, dim1)."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    a = int(args[1] if len(args) > 1 else kwargs["dim0"]) % x.dim()
    b = int(args[2] if len(args) > 2 else kwargs["dim1"]) % x.dim()
    trace.set_channels(out, {a: b, b: a}.get(channels.dim, channels.dim), channels.atoms)


def reduce(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """mean, sum, amax, amin over axes other than the channels."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    dims = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    keepdim = bool(args[2] if len(args) > 2 else kwargs.get("keepdim", False))
    listed = list(range(x.dim())) if dims is None else [dims] if isinstance(dims, int) else list(dims)
    reduced = {int(d) % x.dim() for d in listed or range(x.dim())}
    (result,) = tensors_in(out)
    if channels.dim not in reduced:
        dim = channels.dim if keepdim else channels.dim - sum(d < channels.dim for d in reduced)
        trace.set_channels(result, dim, channels.atoms)
    elif not trace.is_fixed(channels.atoms):
        raise trace.refuse("it reduces over channels, so a dropped channel would change the result")


def index(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """x[...] with whole numbers and slices that leave the axis of channels whole."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    items = args[1] if isinstance(args[1], tuple) else (args[1],)
    n_real = sum(item is not None and item is not Ellipsis for item in items)
    at, dim = 0, 0
    for item in items:
        if item is Ellipsis:
            skip = x.dim() - n_real
            if at <= channels.dim < at + skip:
                break
            at, dim = at + skip, dim + skip
        elif item is None:
            dim += 1
        elif at == channels.dim:
            if isinstance(item, slice) and item == slice(None):
                break
            if trace.is_fixed(channels.atoms):
                return
            raise trace.refuse("it picks some channels by number")
        elif isinstance(item, int):
            at += 1
        elif isinstance(item, slice):
            at, dim = at + 1, dim + 1
        else:
            raise trace.refuse("it indexes channels in a way that has no rule")
    trace.set_channels(out, dim + channels.dim - at, channels.atoms)


def pad(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """F.pad of axes other than the channels."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    if out.shape[channels.dim] == x.shape[channels.dim]:
        trace.set_channels(out, channels.dim, channels.atoms)
    elif not trace.is_fixed(channels.atoms):
        raise trace.refuse("it pads the axis of channels with a fixed number of zeros")


def expand(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """expand, expand_as: new axes come in on the left; a single channel may not become many."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    dim = channels.dim + out.dim() - x.dim()
    if out.shape[dim] == len(channels.atoms):
        trace.set_channels(out, dim, channels.atoms)


def softmax(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, before: Before) -> None:
    """softmax, log_softmax: what it runs over stays whole."""
    x, channels = _input(trace, args, kwargs)
    if channels is None:
        return
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if dim is None or int(dim) % x.dim() == channels.dim:
        trace.fix(channels.atoms)
    trace.set_channels(out, channels.dim, channels.atoms)


SHAPE_RULES = {
    **dict.fromkeys(("softmax", "log_softmax"), softmax),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel"), reshape),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenate),
    "permute": permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transpose),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), reduce),
    "__getitem__": index,
    "pad": pad,
    **dict.fromkeys(("expand", "expand_as"), expand),
}
