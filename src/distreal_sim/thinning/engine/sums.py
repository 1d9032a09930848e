"""Sums of the gradients of several passes, for one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from distreal_sim.thinning.engine.memory import Cut, Memory


class Sums:
    """Sums of gradients, at full width; names: the parameters."""

    def __init__(self, memory: Memory, names: Sequence[str]) -> None:
        self._memory, self._names = memory, names
        self._reached: set[int] = set()

    def add(self, gradients: Sequence[Tensor | None], cut: Cut | None, rows: Sequence[np.ndarray]) -> None:
        """Adds the gradients of a pass; cut, rows: those of its mask."""
        self._memory.gather(rows)
        sums = self._memory.thinned(cut)
        for index, gradient in enumerate(gradients):
            if gradient is not None:
                sums[self._names[index]].add_(gradient)
                self._reached.add(index)
        self._memory.scatter(rows)

    def read(self, cut: Cut | None, rows: Sequence[np.ndarray]) -> list[Tensor | None]:
        """The sums at a mask's width; None for parameters that no gradient has reached."""
        self._memory.gather(rows)
        sums = self._memory.thinned(cut)
        return [sums[name] if i in self._reached else None for i, name in enumerate(self._names)]

    def clear(self) -> None:
        """Sets all sums to zero."""
        self._memory.clear()
        self._reached.clear()
