"""Strategies of somebody else's, named by dotted path: what they keep between rounds, and where."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import FedAvg

Merged = tuple[ArrayRecord | None, MetricRecord | None]


class Keeping(FedAvg):
    """The mean plus `step` times the number of rounds; keeps something of every kind, changed in place too.

    The number is kept five times over, and all must agree.
    """

    def __init__(self, step: float = 1.0, label: str = "", **kwargs: object) -> None:
        super().__init__()
        self.step = step
        self.constants = {"a": 1}
        self.number = 0
        self.total: np.ndarray | None = None
        self.history: list[np.ndarray] = []
        self.by_name = {"x": np.zeros(2), "a/b": np.zeros(2)}
        self.record = ArrayRecord()
        self.listener = lambda: label

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Merged:
        merged, metrics = super().aggregate_train(server_round, replies)
        assert merged is not None
        self.number += 1
        self.total = np.ones(3) if self.total is None else self.total + 1
        self.history.append(np.array(server_round))
        self.by_name["a/b"] += 1
        self.record = ArrayRecord({"n": Array(np.array(float(self.number)))})
        counts = [self.total[0], len(self.history), self.by_name["a/b"][1], self.record["n"].numpy()]
        assert {float(count) for count in counts} == {self.number} == {server_round}
        assert [int(entry) for entry in self.history] == list(range(1, server_round + 1))
        return ArrayRecord(
            {name: Array(array.numpy() + self.step * self.number) for name, array in merged.items()}
        ), metrics


class Hoarding(FedAvg):
    """Keeps an object that no checkpoint can hold."""

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Merged:
        self.optimizer = object()
        return super().aggregate_train(server_round, replies)


class Demanding(FedAvg):
    """Cannot be made from a config."""

    def __init__(self, rule: object) -> None:
        super().__init__()
        self.rule = rule
