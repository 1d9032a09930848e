"""The mean over the clients that trained a coordinate, in float64; see `merging.average`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import Weight, weighted_average
from distreal_sim.merging.merges import Merge


class Average(Merge):
    """The weighted mean of what the clients trained."""

    weight: Weight | None = Field(
        None,
        description="a client's weight at a coordinate it trained: its number of examples, the number it "
        "trained the coordinate on, or 1; the method's own weight if not given",
    )

    averages: ClassVar[bool] = True

    def weight_or(self, own: Weight) -> Weight:
        return self.weight or own

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update], weight: Weight) -> State:
        merged = weighted_average(task.structure, state.arrays, updates, self.weight_or(weight))
        return State(merged, state.extras)
