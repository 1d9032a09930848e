"""Sub-networks of first channels, each part of the next: the widest trained so far is a network to test.

The rest of the network still has its initial values, so that the full width says little about such a method
where no client can train it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from distreal_sim.client.messages import State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import Outputs, weighted_average
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.structure import Structure

WIDEST = "widest"
"""Under this name State.extras holds (G,) int64 channels of each group, from the first update on."""


def widest_trained(state: State) -> SubModel | None:
    """The smallest prefix that holds every channel trained so far; None: none yet."""
    known = state.extras.get(WIDEST)
    return None if known is None else SubModel(tuple(known.tolist()))


def merge_prefixes(
    task: Task,
    state: State,
    updates: Iterator[Update],
    outputs: Outputs = lambda update: None,
) -> State:
    """The state with averaged arrays, and with the widest sub-network grown by the trained channels.

    outputs: see `weighted_average`.
    """

    def merge(seen: Iterator[Update]) -> State:
        arrays = weighted_average(task.structure, state.arrays, seen, task.merge.weighs_by, outputs=outputs)
        return State(arrays, state.extras)

    return growing(task.structure, state, updates, merge)


def growing(
    structure: Structure, state: State, updates: Iterator[Update], merge: Callable[[Iterator[Update]], State]
) -> State:
    """The result of `merge`, with the widest sub-network grown by the channels that the updates trained."""
    widest = state.extras.get(WIDEST, np.zeros(len(structure.groups), np.int64)).copy()

    def seen() -> Iterator[Update]:
        for update in updates:
            np.maximum(widest, update.coverage.widest(structure), out=widest)
            yield update

    merged = merge(seen())
    return State(merged.arrays, {**merged.extras, WIDEST: widest} if widest.all() else merged.extras)
