"""Rules for operations that split, merge or interleave axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.channels import Atoms
from distreal_sim.thinning.coupling.layer_rules import width_attribute
from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs, given, input_of, move
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
