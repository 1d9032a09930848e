"""Merges: how the server combines the clients' updates into one model; one plug-in per file.

A method without a merge of its own uses the experiment's merge.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from distreal_sim.base.plugins import Plugin
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.settings import Weight
from distreal_sim.client.task import Task


class Merge(Plugin):
    """Combines a round's updates into the next state.

    whole_only: whether it can merge updates of the whole network only. averages: whether the result is a
    weighted mean of the clients' arrays, so that a mean of variances stays one.
    """

    package: ClassVar[str] = "distreal_sim.merging.merges"
    label: ClassVar[str] = "merge"

    whole_only: ClassVar[bool] = False
    averages: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """Key and value that select the merge, for messages."""
        return f"merge.name {self.name}"

    @property
    def least_updates(self) -> int:
        """Smallest number of updates in a round that can be merged."""
        return 0

    @property
    def weighs_by(self) -> Weight:
        """What a client weighs in an average: `examples`, `clients`, `trained_examples` or `macs`.

        For methods with an average of their own.
        """
        return "examples"

    @abstractmethod
    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        """The next state. updates: the updates that count, in client order; they can be read only once.

        Raises InputError for updates that it cannot merge.
        """
