"""Merges: how the server makes one model of the clients' updates; one plug-in a file.

A method uses the experiment's merge where it has none of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from distreal_sim.base.plugins import Plugin
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import Weight


class Merge(Plugin):
    """Makes the next state of a round's updates.

    whole_only: whether it can merge updates of the whole network only. averages: whether the result is a
    weighted mean of the clients' arrays, so that a mean of variances stays one.
    """

    package: ClassVar[str] = "distreal_sim.merging.merges"
    label: ClassVar[str] = "merge"

    whole_only: ClassVar[bool] = False
    averages: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """The key and the value that chose it, for messages."""
        return f"merge.name {self.name}"

    @property
    def least_updates(self) -> int:
        """Fewer updates in a round are not merged."""
        return 0

    def weight_or(self, own: Weight) -> Weight:
        """The weight of a client in an average, for methods that average in their own way; own: theirs."""
        return own

    @abstractmethod
    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update], weight: Weight) -> State:
        """The next state. updates: those that count, in client order, each seen once.

        weight: of a client in an average, as the method wants it. Raises InputError for updates that it
        cannot merge.
        """
