"""The server's merge: our own average, or the strategy of Flower that the config names."""

from __future__ import annotations

from collections.abc import Iterator

from distreal_sim.client.messages import State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import Weight, weighted_average


def merge_updates(task: Task, state: State, updates: Iterator[Update], weight: Weight) -> State:
    """The next state. updates: those that count, in client order, each seen once.

    weight: of a client in our own average, unless the experiment sets merge.weight. Raises InputError for
    updates that the configured strategy of Flower cannot merge.
    """
    if task.merge.flower is None:
        merged = weighted_average(task.structure, state.arrays, updates, task.merge.weight or weight)
        return State(merged, state.extras)
    from distreal_sim.merging.flower_round import aggregate  # Flower takes half a second to import

    return aggregate(task.merge, state, updates)
