"""Rules for operations that read, write or pad a part of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs, given, input_of, move
from distreal_sim.thinning.coupling.operations import tensors_in
from distreal_sim.thinning.coupling.trace import Trace


def split(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """chunk, split, tensor_split along the channels into equal parts, or along another axis.

    Channels at the same place in the parts become the same, so that parts stay equal at a smaller width.
    """
    x = input_of(args, kwargs)
    dim = int(given(args, kwargs, 2, ("dim",), 0)) % x.dim()
    parts = tensors_in(out)
    own = None if trace.is_parameter(x) else trace.axes_of(x).get(dim)
    if own is not None and not trace.couplings.is_fixed(own) and len({part.shape for part in parts}) == 1:
        rows = own.reshape(len(parts), -1)
        for row, part in zip(rows, parts, strict=True):
            trace.couplings.unite(rows[0], row)
            trace.set_channels(part, dim, row)
        return
    for result in parts:
        reason = "it splits the channels into parts that are not equal"
        move(trace, x, result, lambda d: None if d == dim else d, reason, same=False)


def unbind(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """unbind, select along an axis other than the channels."""
    x = input_of(args, kwargs)
    dim = int(given(args, kwargs, 1, ("dim",), 0)) % x.dim()
    for result in tensors_in(out):
        reason = "it picks some channels by number"
        move(trace, x, result, lambda d: None if d == dim else d - (d > dim), reason, same=False)


def index(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """x[...] with integers, slices and at most one tensor that leave the axis of channels whole."""
    x = args[0]
    places = _indexed(x.dim(), args[1])
    for tensor in tensors_in(args[1]):
        trace.lose(tensor, "it indexes by channels")
    if places is None:
        trace.lose(x, "it indexes channels in a way that has no rule")
        return
    move(trace, x, out, places.get, "it picks some channels by number", same=False)
    if trace.is_parameter(x) and out.numel() == x.numel():
        trace.put(out, trace.axes_of(out), x)


def _indexed(n_axes: int, key: Any) -> dict[int, int] | None:
    """Axes that stay whole -> axes of the result; None if there is no rule for the index."""
    items = list(key) if isinstance(key, tuple) else [key]
    widths = [_n_axes(item) for item in items]
    special = [isinstance(i, (Tensor, list, np.ndarray)) for i in items]
    if sum(special) > 1 or (any(special) and any(isinstance(i, int) for i in items)):
        return None  # PyTorch then places the indexed axes by special rules
    if not any(item is Ellipsis for item in items):
        items, widths = [*items, Ellipsis], [*widths, (0, 0)]
    places: dict[int, int] = {}
    at = to = 0
    skip = n_axes - sum(w[0] for w in widths)
    for item, (read, made) in zip(items, widths, strict=True):
        if item is Ellipsis:
            places |= {at + i: to + i for i in range(skip)}
            read = made = skip
        elif isinstance(item, slice) and item == slice(None):
            places[at] = to
        at, to = at + read, to + made
    return places


def _n_axes(item: Any) -> tuple[int, int]:
    """(number of axes that an index reads, number of axes that it returns)."""
    if item is None or isinstance(item, bool):
        return 0, 1
    if item is Ellipsis:
        return 0, 0
    if isinstance(item, slice):
        return 1, 1
    if isinstance(item, int):
        return 1, 0
    array = item if isinstance(item, Tensor) else torch.as_tensor(item)
    return (array.dim(), 1) if array.dtype == torch.bool else (1, array.dim())


def set_index(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """x[...] = y: the channels of y and x become the same; the axis of channels must be written whole."""
    x, key, value = args
    places = _indexed(x.dim(), key)
    if isinstance(value, Tensor) and trace.channels(value) is not None and trace.channels(x) is None:
        trace.lose(value, "it writes channels into a tensor made in its code")
    n_places = x[key].dim()
    for dim, atoms in trace.axes_of(x).items():
        to = None if places is None else places.get(dim)
        if trace.is_parameter(x) or to is None:
            trace.whole(atoms, "it writes some channels by number")
            continue
        if not isinstance(value, Tensor):
            continue
        at = to - n_places + value.dim()
        if at < 0 or value.shape[at] == 1:
            continue
        known = trace.axes_of(value).get(at)
        if known is not None:
            trace.couplings.unite(atoms, known)
        elif trace.is_derived(value):
            trace.couplings.fix(atoms)
        else:
            trace.whole(atoms, f"a tensor made in its code fixes the width at {len(atoms)} channels")
    if isinstance(value, Tensor):
        for atoms in trace.axes_of(value).values():
            if trace.couplings.find(atoms).tolist() not in [
                trace.couplings.find(a).tolist() for a in trace.axes_of(x).values()
            ]:
                trace.lose(value, "it writes channels where no channels are")


def pad(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """F.pad: zeros before and after the channels are fixed channels."""
    x = input_of(args, kwargs)
    sizes = list(args[1] if len(args) > 1 else kwargs["pad"])
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    value = args[3] if len(args) > 3 else kwargs.get("value")
    axes = {}
    for dim, atoms in trace.axes_of(x).items():
        at = 2 * (x.dim() - 1 - dim)
        first, last = sizes[at : at + 2] or (0, 0)
        if first or last:
            if trace.is_parameter(x) or min(first, last) < 0 or mode != "constant" or value:
                trace.lose(x, "it pads the axis of channels, but not with zeros alone")
                continue
            atoms = np.concatenate((np.zeros(first, np.int64), atoms, np.zeros(last, np.int64)))
        axes[dim] = atoms
    trace.put(out, axes, x, same=False)
