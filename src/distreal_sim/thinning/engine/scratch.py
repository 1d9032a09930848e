"""The mask whose parameters are in scratch memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.thinning.engine.memory import Memory, RowIndex
from distreal_sim.thinning.engine.plans import Plan, Plans
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure


class Scratch:
    """Synchronises scratch memory with resident memory.

    Consecutive passes with the same mask use the tensors that the first of them gathered; these are written
    back when another mask follows, or when the resident tensors are read.
    """

    def __init__(
        self, structure: Structure, plans: Plans, index: RowIndex, memory: Memory, states: Sequence[Memory]
    ) -> None:
        self._structure, self._full = structure, structure.full_counts()
        self._plans, self._index, self._memory, self._states = plans, index, memory, tuple(states)
        self._held: Mask | None = None
        self._states_held = self._changed = False
        self.rows: list[np.ndarray] = []
        """Resident rows, per arena, of the tensors in scratch memory; empty at full width."""

    def enter(self, mask: Mask | None, *, to_change: bool = False) -> Plan:
        """Puts the mask's parameters into the network; to_change: the rule's states too, before a step."""
        if mask is None or mask.is_full:
            if self._held is not None:
                self.put_back()
                self._held, self.rows = None, []
            return self._plans.bind(self._full)
        plan = self._plans.bind(mask.counts(self._structure))
        assert plan.cut is not None
        if self._held is None or not mask.keeps_what(self._held):
            self.put_back()
            self.rows = self._index.rows(plan.cut, mask.kept)
            self._memory.gather(self.rows)
            self._held, self._states_held = mask, False
        if to_change:
            if not self._states_held:
                for state in self._states:
                    state.gather(self.rows)
                self._states_held = True
            self._changed = True
        return plan

    def put_back(self) -> None:
        """Writes tensors that steps have changed back to resident memory."""
        if self._changed:
            self._memory.scatter(self.rows)
            for state in self._states:
                state.scatter(self.rows)
            self._changed = False
