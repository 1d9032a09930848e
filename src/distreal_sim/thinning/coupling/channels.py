"""Atoms, the numbers of channels, and the classes into which operations unite them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["conv", "linear"]
Atoms = np.ndarray
"""(channels of an axis,) int64: the number of each channel; 0 for those that are never dropped."""


class Channels(NamedTuple):
    """The channel axis of an activation: its dimension, and its atoms, one for each position."""

    dim: int
    atoms: Atoms


class Producer(NamedTuple):
    """Atoms that a `kind` layer of the module produces."""

    module: str
    kind: Kind
    atoms: Atoms


@dataclass(frozen=True)
class WidthAttribute:
    """A module attribute that holds the length of an axis (see structure.Override)."""

    module: str
    attribute: str
    atoms: Atoms
    full: tuple[int, ...] | int
    index: int | None


class Couplings:
    """Atoms in classes of channels that are kept or dropped together: a union-find structure."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, np.int64)

    @property
    def n_atoms(self) -> int:
        """Number of atoms made so far, atom 0 included."""
        return len(self._parent)

    def new(self, n: int) -> Atoms:
        """New atoms of n channels that are not coupled to any other."""
        atoms = np.arange(len(self._parent), len(self._parent) + n)
        self._parent = np.concatenate((self._parent, atoms))
        return atoms

    def find(self, atoms: Atoms) -> Atoms:
        """Representative of each atom."""
        roots = self._parent[atoms]
        while not np.array_equal(above := self._parent[roots], roots):
            roots = above
        self._parent[atoms] = roots
        found: Atoms = roots
        return found

    def unite(self, a: Atoms, b: Atoms) -> None:
        """Makes the channels of two axes of equal length the same, position by position."""
        assert len(a) == len(b)
        differ = self.find(a) != self.find(b)
        for x, y in zip(a[differ], b[differ], strict=True):
            low, high = sorted((self._root(int(x)), self._root(int(y))))
            self._parent[high] = low

    def _root(self, atom: int) -> int:
        while self._parent[atom] != atom:
            atom = int(self._parent[atom])
        return atom

    def fix(self, atoms: Atoms) -> None:
        """Marks these channels as never dropped."""
        self.unite(atoms, np.zeros_like(atoms))

    def is_fixed(self, atoms: Atoms) -> bool:
        """Whether none of these channels may be dropped, as far as is known so far."""
        return not self.find(atoms).any()
