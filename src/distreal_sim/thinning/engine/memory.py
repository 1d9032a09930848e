"""Resident full-width tensors, and the scratch memory that a thinned step gathers them into."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distreal_sim.thinning.engine.rows import ArenaLayout, AxisIndex, Block, lay_out, odd_rows
from distreal_sim.thinning.structure import Kept, TensorLayout

RowMaker = Callable[[list[np.ndarray], Kept, np.ndarray], None]


@dataclass(frozen=True)
class Cut:
    """The plan of a gather for one vector of counts.

    makers: per arena, the function that computes the row indices of each cut block, and their position;
    places: name -> (arena, first scratch row, end row, shape). Tensors that keep everything are in neither:
    they are used in place.
    """

    makers: tuple[tuple[tuple[RowMaker, int, int], ...], ...]
    places: dict[str, tuple[int, int, int, tuple[int, ...]]]
    n_rows: tuple[int, ...]


class Memory:
    """One full-width value for each tensor (parameters, or their momentum), cut tensors in arenas.

    full: the tensors by name; cut ones are views into the arenas; in_arena: position of each cut tensor as
    (arena, first row, end row).
    """

    def __init__(
        self, layouts: dict[str, TensorLayout], arenas: Sequence[ArenaLayout], device: str, dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        self.arenas = [torch.zeros(a.n_rows, a.length, dtype=dtype, device=device) for a in arenas]
        self.scratch = [torch.zeros_like(arena) for arena in self.arenas]
        pairs = zip(self.arenas, self.scratch, strict=True)
        self._arrays = [(_row_view(a), _row_view(s)) for a, s in pairs] if device == "cpu" else []
        self.full: dict[str, Tensor] = {}
        self.in_arena: dict[str, tuple[int, int, int]] = {}
        for index, (layout, arena) in enumerate(zip(arenas, self.arenas, strict=True)):
            for block in layout.blocks:
                n_rows = math.prod(block.layout.shape) // layout.length
                for number, name in enumerate(block.names):
                    start = block.start + number * block.stride
                    self.in_arena[name] = index, start, start + n_rows
                    self.full[name] = arena[start : start + n_rows].view(block.layout.shape)
        for name, tensor_layout in layouts.items():
            if name not in self.full:
                self.full[name] = torch.zeros(tensor_layout.shape, dtype=dtype, device=device)

    def thinned(self, cut: Cut | None) -> dict[str, Tensor]:
        """The tensors by name at the width of `cut`: views of scratch memory, or the full ones if not cut."""
        tensors = {name: tensor.detach() for name, tensor in self.full.items()}
        for name, (arena, start, end, shape) in ({} if cut is None else cut.places).items():
            tensors[name] = self.scratch[arena][start:end].view(shape)
        return tensors

    def clear(self) -> None:
        """Sets everything to zero."""
        with torch.no_grad():
            for tensor in self.full.values():
                tensor.zero_()

    def gather(self, rows: Sequence[np.ndarray]) -> None:
        """Copies the given rows of each arena to the beginning of its scratch memory."""
        for number, index in enumerate(rows):
            if self._arrays:
                source, target = self._arrays[number]
                # mode="clip" writes directly into `target`; "raise" would go through a buffer.
                np.take(source, index, out=target[: len(index)], mode="clip")
            elif len(index):
                on_device = torch.from_numpy(index).to(self.arenas[number].device)
                self.scratch[number][: len(index)] = self.arenas[number].index_select(0, on_device)

    def scatter(self, rows: Sequence[np.ndarray]) -> None:
        """Writes the scratch memory back to the rows that `gather` read."""
        for number, index in enumerate(rows):
            if self._arrays:
                target, source = self._arrays[number]
                target[index] = source[: len(index)]
            elif len(index):
                on_device = torch.from_numpy(index).to(self.arenas[number].device)
                self.arenas[number].index_copy_(0, on_device, self.scratch[number][: len(index)])


def _row_view(arena: Tensor) -> np.ndarray:
    """The rows (R,) of an arena as opaque items of raw bytes, which numpy copies fastest."""
    rows: np.ndarray = arena.numpy()
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)


class RowIndex:
    """Turns masks into row indices of the arenas."""

    def __init__(self, layouts: dict[str, TensorLayout]) -> None:
        self.arenas = lay_out(layouts)
        self._axes = AxisIndex()
        self._index = [np.empty(arena.n_rows, np.int64) for arena in self.arenas]
        self._make = {id(b): self._maker(b) for arena in self.arenas for b in arena.blocks}

    def cut(self, counts: Sequence[int], full: Sequence[int]) -> Cut:
        """The plan of a gather when the groups keep `counts` of their `full` channels."""
        thinned = {g for g, (n, c) in enumerate(zip(counts, full, strict=True)) if n < c}
        makers: list[tuple[tuple[RowMaker, int, int], ...]] = []
        places: dict[str, tuple[int, int, int, tuple[int, ...]]] = {}
        ends = []
        for number, arena in enumerate(self.arenas):
            parts, end = [], 0
            for block in arena.blocks:
                if thinned.isdisjoint(block.layout.cut_groups):
                    continue
                start, end = end, end + block.n_rows(counts)
                parts.append((self._make[id(block)], start, end))
                n_each = (end - start) // len(block.names)
                for name in block.names:
                    places[name] = number, start, start + n_each, block.layout.cut_shape(counts)
                    start += n_each
            makers.append(tuple(parts))
            ends.append(end)
        return Cut(tuple(makers), places, tuple(ends))

    def rows(self, cut: Cut, kept: Kept) -> list[np.ndarray]:
        """Row indices to gather in each arena; overwritten by the next call."""
        positions = self._axes.positions(kept)
        for index, makers in zip(self._index, cut.makers, strict=True):
            for make, start, end in makers:
                make(positions, kept, index[start:end])
        return [index[:n] for index, n in zip(self._index, cut.n_rows, strict=True)]

    def _maker(self, block: Block) -> RowMaker:
        start, stride = block.start, block.stride
        if block.odd is not None:
            odd = block.odd

            def make_odd(positions: list[np.ndarray], kept: Kept, out: np.ndarray) -> None:
                out[:] = odd_rows(odd, start, kept)

            return make_odd
        inner = self._axes.add(block.inner)
        if block.outer is None:
            firsts = start + stride * np.arange(len(block.names))[:, None]

            def make_vectors(positions: list[np.ndarray], kept: Kept, out: np.ndarray) -> None:
                np.add(firsts, positions[inner], out=out.reshape(len(firsts), -1))

            return make_vectors
        outer = self._axes.add(block.outer)

        def make_matrix(positions: list[np.ndarray], kept: Kept, out: np.ndarray) -> None:
            first = positions[outer] * stride
            first += start
            np.add(first[:, None], positions[inner], out=out.reshape(len(first), -1))

        return make_matrix
