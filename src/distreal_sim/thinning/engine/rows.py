"""Memory layout of tensors that thins them with one indexed read and one indexed write.

A cut tensor is a matrix of *rows*: the weights of one (output channel, input channel) pair are always kept
or dropped as a whole, k * k weights of a convolution or H * W weights of a linear layer after a flatten.
Tensors with rows of equal length share an *arena* (R, length); the rows of all of them that a mask keeps
are then one index array. Vectors over the same channels (biases, batch norm) form one such matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.thinning.structure import (
    FIXED,
    Axis,
    Kept,
    Segment,
    TensorLayout,
    axis_length,
    is_cut,
    kept_elements,
)

_ALIGN = 16
"""Rows between tensors: 16 rows of floats are whole cache lines, as torch's own allocations are."""


@dataclass(frozen=True)
class Block:
    """Rows of one tensor, or of several vectors over the same axis.

    start: first row; stride: rows from one outer position to the next. outer: the axis of the outer
    positions (None: `len(names)` positions, always kept); inner: the axis within each outer position; odd:
    the tensor's layout up to its last cut axis, where rows are not a product of two axes (grouped
    convolutions).
    """

    names: tuple[str, ...]
    layout: TensorLayout
    start: int
    stride: int
    outer: Axis | None
    inner: Axis
    odd: TensorLayout | None = None

    def n_rows(self, counts: Sequence[int]) -> int:
        """Number of rows kept under `counts`."""
        if self.odd is not None:
            return math.prod(self.odd.cut_shape(counts))
        outer = len(self.names) if self.outer is None else axis_length(self.outer, counts)
        return outer * axis_length(self.inner, counts)


@dataclass(frozen=True)
class ArenaLayout:
    """Blocks of rows of `length` elements; n_rows in all, with the gaps that align the blocks."""

    length: int
    blocks: tuple[Block, ...]
    n_rows: int


def lay_out(layouts: Mapping[str, TensorLayout]) -> tuple[ArenaLayout, ...]:
    """Arenas for the cut tensors among `layouts`; tensors without cut axes are left out."""
    vectors: dict[tuple[int, Axis, TensorLayout], list[str]] = {}
    matrices: list[tuple[int, str, Axis, Axis, TensorLayout | None]] = []
    for name, layout in layouts.items():
        if not layout.cut_groups:
            continue
        last = max(dim for dim, axis in enumerate(layout.axes) if is_cut(axis))
        inner, unit = _coarsen(layout.axes[last])
        length = unit * math.prod(layout.shape[last + 1 :])
        if last == 0:
            vectors.setdefault((length, inner, layout), []).append(name)
        elif last == 1 and layout.blocks == 1:
            matrices.append((length, name, layout.axes[0], inner, None))
        else:
            n = max(last, 1) + 1
            odd = TensorLayout(layout.shape[:n], layout.axes[:n], layout.blocks)
            matrices.append((math.prod(layout.shape[n:]), name, (), (), odd))
    blocks: dict[int, list[Block]] = {}
    ends: dict[int, int] = {}

    def place(length: int, n_rows: int) -> int:
        start = ends.get(length, 0)
        ends[length] = start + _aligned(n_rows)
        return start

    for length, name, outer, inner, irregular in matrices:
        layout = layouts[name]
        n_rows = math.prod(layout.shape) // length
        stride = 0 if irregular else n_rows // layout.shape[0]
        block = Block((name,), layout, place(length, n_rows), stride, outer, inner, irregular)
        blocks.setdefault(length, []).append(block)
    for (length, inner, layout), names in vectors.items():
        stride = _aligned(math.prod(layout.shape) // length)
        block = Block(tuple(names), layout, place(length, stride * len(names)), stride, None, inner)
        blocks.setdefault(length, []).append(block)
    return tuple(ArenaLayout(length, tuple(blocks[length]), ends[length]) for length in sorted(blocks))


def _aligned(n_rows: int) -> int:
    return -(-n_rows // _ALIGN) * _ALIGN


def _coarsen(axis: Axis) -> tuple[Axis, int]:
    """(the axis in units of positions that are always kept together, number of positions per unit)."""
    unit = math.gcd(*(s.size if s.group == FIXED else s.inner for s in axis))
    if unit == 1:
        return axis, 1
    coarse = (
        Segment(FIXED, s.size // unit) if s.group == FIXED else Segment(s.group, s.size, s.inner // unit)
        for s in axis
    )
    return tuple(coarse), unit


class AxisIndex:
    """Positions that a mask keeps on many axes, each axis computed once per mask.

    An axis that is the beginning of a longer axis (dense concatenation) is reused for it.
    """

    def __init__(self) -> None:
        self._number: dict[Axis, int] = {(): 0}
        self._steps: list[tuple[int, int, int, int, int]] = []
        self._all: dict[int, np.ndarray] = {}

    def add(self, axis: Axis) -> int:
        """Adds an axis; returns its index in the result of `positions`."""
        if axis not in self._number:
            beginning = self.add(axis[:-1])
            start = sum(s.size * s.inner for s in axis[:-1])
            self._number[axis] = len(self._number)
            last = axis[-1]
            self._steps.append((beginning, last.group, last.size, last.inner, start))
        return self._number[axis]

    def positions(self, kept: Kept) -> list[np.ndarray]:
        """Sorted kept positions on every axis that was added."""
        found: list[np.ndarray] = [np.zeros(0, np.int64)]
        for beginning, group, size, inner, start in self._steps:
            channels = None if group == FIXED else kept[group]
            if channels is None:
                positions = self._range(size * inner)
            elif inner == 1:
                positions = channels
            else:
                positions = (channels[:, None] * inner + self._range(inner)).ravel()
            if beginning:
                positions = np.concatenate((found[beginning], positions + start))
            found.append(positions)
        return found

    def _range(self, n: int) -> np.ndarray:
        if n not in self._all:
            self._all[n] = np.arange(n)
        return self._all[n]


def odd_rows(layout: TensorLayout, start: int, kept: Kept) -> np.ndarray:
    """Kept rows of a tensor whose rows are not a product of two axes."""
    index = np.broadcast_arrays(*kept_elements(layout, kept))
    return start + np.ravel_multi_index(tuple(index), layout.shape).ravel()
