"""Rules for operations that only move, join or reduce data."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.channels import Atoms
from distreal_sim.thinning.coupling.index_rules import index, pad, set_index, split, unbind
from distreal_sim.thinning.coupling.layer_rules import width_attribute
from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs, given, input_of, move
from distreal_sim.thinning.coupling.operations import tensors_in
from distreal_sim.thinning.coupling.trace import Trace


def reshape(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: each channel may come to own several positions.

    The axis of channels may merge with the axes to its right (each channel then owns consecutive positions)
    and to its left (the channels then repeat), but not with the examples' axis. `_split` says how it splits.
    """
    x = input_of(args, kwargs)
    shape = before[id(x)]
    if trace.is_parameter(x):
        move(trace, x, out, lambda dim: _same_place(shape, tuple(out.shape), dim))
        return
    channels = trace.channels(x)
    if channels is None:
        return
    left, right = math.prod(shape[: channels.dim]), math.prod(shape[channels.dim + 1 :])
    n = len(channels.atoms)
    best = None
    for dim in range(out.dim()):
        new_left, new_right = math.prod(out.shape[:dim]), math.prod(out.shape[dim + 1 :])
        fits = new_left and new_right and left % new_left == 0 and right % new_right == 0
        if fits and out.shape[dim] == (left // new_left) * n * (right // new_right):
            tiles = left // new_left
            if best is None or tiles < best[1]:
                best = dim, tiles, right // new_right
    if best is not None and not (best[0] == 0 < channels.dim):
        dim, tiles, inner = best
        trace.set_channels(out, dim, np.tile(np.repeat(channels.atoms, inner), tiles))
        return
    if _split(trace, out, channels.atoms, left, right):
        return
    trace.whole(channels.atoms, f"reshaping {shape} to {tuple(out.shape)} splits the axis of channels")
    trace.put(out, {})


HEADS = ("num_heads", "n_heads", "n_head", "nhead", "heads", "num_attention_heads")
"""Names by which modules call their number of heads."""


def _split(trace: Trace, out: Tensor, atoms: Atoms, left: int, right: int) -> bool:
    """Splits the axis of channels into several axes, of which one keeps channels; returns whether it could.

    left, right: elements before and after the axis. The last axis of a tensor splits into heads and their
    units, and a head becomes one channel; before them there may be the 2 or 3 parts of a joint projection.
    Another axis splits into blocks of channels, which then repeat.
    """
    sizes = tuple(out.shape)
    starts = [d for d in range(out.dim()) if math.prod(sizes[:d]) == left and sizes[d] > 1]
    ends = [d for d in range(out.dim()) if math.prod(sizes[d + 1 :]) == right and sizes[d] > 1]
    if not starts or not ends or math.prod(sizes[starts[0] : ends[-1] + 1]) != len(atoms):
        return False
    dims = [d for d in range(starts[0], ends[-1] + 1) if sizes[d] > 1]
    joint = len(dims) > 2 and sizes[dims[0]] in (2, 3)
    at = 1 if joint or (right > 1 and len(dims) == 2) else 0
    parts = np.moveaxis(atoms.reshape([sizes[d] for d in dims]), at, 0).reshape(sizes[dims[at]], -1)
    for column in parts.T[1:]:
        trace.couplings.unite(parts[:, 0], column)
    trace.set_channels(out, dims[at], parts[:, 0])
    for attribute in HEADS:
        width_attribute(trace, attribute, parts[:, 0], len(parts))
    return True


def _same_place(old: tuple[int, ...], new: tuple[int, ...], dim: int) -> int | None:
    """The axis of the new shape with the size of axis `dim` of the old one and as many elements before it."""
    left = math.prod(old[:dim])
    places = [d for d in range(len(new)) if new[d] == old[dim] and math.prod(new[:d]) == left]
    return places[0] if places else None


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


def pixel_shuffle(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """pixel_shuffle: a channel of the result is a block of channels, which so are dropped together."""
    x = input_of(args, kwargs)
    atoms = _feature_maps(trace, x)
    if atoms is not None:
        blocks = atoms.reshape(out.shape[-3], -1)
        for column in blocks.T[1:]:
            trace.couplings.unite(blocks[:, 0], column)
        trace.set_channels(out, out.dim() - 3, blocks[:, 0])


def pixel_unshuffle(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """pixel_unshuffle: a channel becomes a block of channels."""
    x = input_of(args, kwargs)
    atoms = _feature_maps(trace, x)
    if atoms is not None:
        trace.set_channels(out, out.dim() - 3, np.repeat(atoms, out.shape[-3] // len(atoms)))


def channel_shuffle(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """channel_shuffle: as many channels are kept in each block, those at the same places."""
    x = input_of(args, kwargs)
    channels = trace.channels(x)
    if channels is None or channels.dim != 1:
        trace.lose(x, "it shuffles another axis than that of the channels")
        return
    blocks = channels.atoms.reshape(int(given(args, kwargs, 1, ("groups",), 1)), -1)
    for row in blocks[1:]:
        trace.couplings.unite(blocks[0], row)
    trace.set_channels(out, 1, blocks.T.ravel())


def _feature_maps(trace: Trace, x: Tensor) -> Atoms | None:
    """The channels of maps (..., C, H, W); None, and they are lost, where channels lie on another axis."""
    channels = trace.channels(x)
    if channels is None or channels.dim != x.dim() - 3:
        trace.lose(x, "it rearranges another axis than that of the channels")
        return None
    return channels.atoms


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
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), softmax),
    **dict.fromkeys(
        ("view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel"),
        reshape,
    ),
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
