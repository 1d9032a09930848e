"""Structure of a network's channels: coupling groups, the axes that they cut, and the layers with their cost.

Two channels are coupled if one cannot be dropped without the other; a coupling group is a sequence of
channels with the same couplings, each kept or dropped in all tensors that have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from distreal_sim.base.errors import InputError

Precision = Literal["float32", "bfloat16"]
"""Precision of the products in training steps; parameters and their updates are float32."""

MemoryFormat = Literal["channels_last", "contiguous"]
"""Memory layout of batches of images: all channels of a pixel side by side, or PyTorch's default."""

Counts = tuple[int, ...]
"""(G,) number of kept channels of each coupling group."""

FIXED = -1
"""Group index of positions that are never dropped (input channels, classifier outputs)."""

Kept = Sequence[np.ndarray | None]
"""(G,) arrays of sorted indices of the kept channels of each group; None: all channels."""


class ThinningError(InputError):
    """A network that cannot be thinned; the message names the module and the reason."""


@dataclass(frozen=True)
class Group:
    """A coupling group: `channels` channels, each kept or dropped wherever it appears.

    name: qualified name of the first module that produces them; kind: `conv` if any producer is a
    convolution. blocks > 1: the same number is kept in each of `blocks` equal contiguous blocks (grouped
    convolution, group normalisation).
    """

    name: str
    channels: int
    kind: Literal["conv", "linear"]
    blocks: int = 1


@dataclass(frozen=True)
class Segment:
    """A segment of an axis: all `size` channels of a group in order, each with `inner` consecutive positions.

    group FIXED: `size` positions (inner 1) that are always kept.
    """

    group: int
    size: int
    inner: int = 1

    def length(self, counts: Sequence[int]) -> int:
        """Positions left when each group keeps `counts` channels."""
        return self.inner * (self.size if self.group == FIXED else counts[self.group])


Axis = tuple[Segment, ...]


def axis_length(axis: Axis, counts: Sequence[int]) -> int:
    """Length of the axis when each group keeps `counts` channels."""
    return sum(segment.length(counts) for segment in axis)


def is_cut(axis: Axis) -> bool:
    """Whether some of the axis may be dropped."""
    return any(segment.group != FIXED for segment in axis)


@dataclass(frozen=True)
class TensorLayout:
    """A parameter or buffer of `shape`, with the segments of each of its axes.

    blocks > 1 (the weight of a grouped convolution with `blocks` groups): `axes[1]` lists the input channels
    of all groups one after another, although row o of the tensor only has the channels of its own group;
    axis 1 of the tensor is `blocks` times shorter.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    blocks: int = 1

    def cut_shape(self, counts: Sequence[int]) -> tuple[int, ...]:
        """Shape of the tensor when each group keeps `counts` channels."""
        shape = [axis_length(axis, counts) for axis in self.axes]
        if self.blocks > 1:
            shape[1] //= self.blocks
        return tuple(shape)

    @cached_property
    def cut_groups(self) -> tuple[int, ...]:
        """Indices of the groups whose channels this tensor has, ascending."""
        return tuple(sorted({s.group for axis in self.axes for s in axis} - {FIXED}))


@dataclass(frozen=True)
class Layer:
    """One use of a convolution's or linear layer's weight.

    positions: how often an example uses each of its weights (H * W for a 2-d convolution); n_gradients:
    number of gradients (weight, input) that the backward pass computes, 0 where no gradient reaches the
    layer; upstream: the parameters that its input depends on; if one of them is trained, the input needs a
    gradient; alone: whether nothing else in a forward pass uses the weight.
    MACs of the forward pass per example: weight elements x positions.
    """

    module: str
    weight: str
    positions: int
    n_gradients: int
    upstream: frozenset[str] = frozenset()
    alone: bool = True


@dataclass(frozen=True)
class Product:
    """The products of an operation that is no layer, such as attention; also of one that runs whole.

    MACs per example at full width, as torch's flop counter finds them: forward_macs of the forward pass;
    weight_macs, input_macs and both_macs of a backward pass that computes the gradients of its weights, of
    its other operands, or all that there are; 0 where no gradient reaches it. axis: all of them are
    proportional to the length of this axis; empty: they do not depend on the width.
    weights: the parameters that it reads; upstream: those that its other operands depend on; beside: those of
    the smallest module around it that has any, with which it runs or does not.
    """

    module: str
    operation: str
    forward_macs: int
    weight_macs: int = 0
    input_macs: int = 0
    both_macs: int = 0
    axis: Axis = ()
    weights: frozenset[str] = frozenset()
    upstream: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()

    def backward_macs(self, weights: bool, inputs: bool) -> int:
        """MACs of the backward pass if gradients of its weights, or of its other operands, are needed."""
        if weights and inputs:
            return self.both_macs
        return self.weight_macs * weights + self.input_macs * inputs

    def at(self, macs: int, counts: Sequence[int]) -> int:
        """What `macs` of this operation at full width are when each group keeps `counts` channels."""
        if not self.axis:
            return macs
        return macs * axis_length(self.axis, counts) // sum(s.size * s.inner for s in self.axis)


@dataclass(frozen=True)
class Whole:
    """Channels that are never dropped although the network's outputs do not fix them.

    module: the module whose code keeps them whole, for messages; reason: why; macs: MACs of a training step
    on one example that belong to layers which so keep all their channels, and to operations that run whole.
    """

    module: str
    reason: str
    macs: int


@dataclass(frozen=True)
class Override:
    """An attribute that holds a width: `module.attribute` is the length of `axis` at the thinned width.

    index: the entry to replace where the attribute is the tuple `full`; None: the attribute is a number.
    """

    module: str
    attribute: str
    axis: Axis
    full: tuple[int, ...] | int
    index: int | None = None

    def value(self, counts: Sequence[int]) -> tuple[int, ...] | int:
        """The attribute when each group keeps `counts` channels."""
        length = axis_length(self.axis, counts)
        if self.index is None or isinstance(self.full, int):
            return length
        return (*self.full[: self.index], length, *self.full[self.index + 1 :])


@dataclass(frozen=True, eq=False)
class Structure:
    """The coupling groups of a network, hidden ones only, in the order in which the network produces them.

    tensors: every parameter and buffer by qualified name; parameters: names of the parameters among them.
    scaled: weight name -> its input axis, for layers that sum over the channels of a group (dense and grouped
    convolutions, linear layers); the scaling of kept channels is folded into these weights.
    transposed: the weights whose input axis is their first axis (transposed convolutions, x @ w).
    products: operations with a cost that are no layers; whole: what is left whole, and why.
    """

    groups: tuple[Group, ...]
    tensors: dict[str, TensorLayout]
    parameters: tuple[str, ...]
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...]
    scaled: dict[str, Axis]
    transposed: frozenset[str] = frozenset()
    products: tuple[Product, ...] = ()
    whole: tuple[Whole, ...] = ()

    def thinnable(self, drop_linear: Literal["auto"] | bool) -> tuple[int, ...]:
        """Indices of the groups that a dropout vector addresses, one rate each.

        drop_linear: whether to thin hidden linear layers too; auto: only if there is no other group. Groups
        of one channel per block must keep everything and have no rate.
        """
        if drop_linear == "auto":
            return self.thinnable(False) or self.thinnable(True)
        return tuple(
            g
            for g, group in enumerate(self.groups)
            if group.channels > group.blocks and (drop_linear or group.kind == "conv")
        )

    @cached_property
    def classifier(self) -> tuple[str, ...]:
        """Parameters of the layer that computes the outputs: its weight and, if it has one, its bias.

        Its module may hold other parameters (for a functional layer it may be the network itself); their
        first axes differ. Empty for a network without a layer whose channels are known.
        """
        if not self.layers:
            return ()
        last = self.layers[-1]
        rows = self.tensors[last.weight].axes[0]
        own = (name for name in self.parameters if name.rpartition(".")[0] == last.module)
        return tuple(name for name in own if self.tensors[name].axes[:1] == (rows,))

    def full_counts(self) -> tuple[int, ...]:
        """(G,) channels of each group."""
        return tuple(group.channels for group in self.groups)


def axis_positions(axis: Axis, kept: Kept) -> np.ndarray:
    """Sorted positions of the axis that remain when each group keeps `kept`, int64."""
    parts, start = [], 0
    for segment in axis:
        channels = None if segment.group == FIXED else kept[segment.group]
        if channels is None:
            parts.append(np.arange(start, start + segment.size * segment.inner))
        elif segment.inner == 1:
            parts.append(channels + start)
        else:
            parts.append((start + channels[:, None] * segment.inner + np.arange(segment.inner)).ravel())
        start += segment.size * segment.inner
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def kept_elements(layout: TensorLayout, kept: Kept) -> tuple[np.ndarray, ...]:
    """Index arrays, one per axis, for which `tensor[index]` is the thinned tensor."""
    positions = [axis_positions(axis, kept) for axis in layout.axes]
    if layout.blocks == 1:
        return np.ix_(*positions)
    index = list(np.ix_(*positions))
    width = layout.shape[1]
    inner = positions[1].reshape(layout.blocks, -1) - width * np.arange(layout.blocks)[:, None]
    per_row = np.repeat(inner, len(positions[0]) // layout.blocks, axis=0)
    index[1] = per_row.reshape(*per_row.shape, *(1,) * (len(layout.shape) - 2))
    return tuple(index)
