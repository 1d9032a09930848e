"""The mean over the clients that trained a coordinate, in float64; see `merging.average`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.settings import Weight
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.merging.merges import Merge


class Average(Merge):
    """The weighted mean of what the clients trained."""

    weight: Weight = Field(
        "examples",
        description="a client's weight at a coordinate that it trained: its number of examples, 1, or the "
        "examples or the MACs of those of its steps that trained the coordinate",
    )

    averages: ClassVar[bool] = True

    @property
    def weighs_by(self) -> Weight:
        return self.weight

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        merged = weighted_average(task.structure, state.arrays, updates, self.weight)
        return State(merged, state.extras)
