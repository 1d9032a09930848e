"""Scores of a network on test examples: its loss and the metrics of its task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from distreal_sim.base.plugins import load
from distreal_sim.recipe.metrics import Metric
from distreal_sim.recipe.tasks import LearningTask

LOSS = "loss"
"""Name of the mean loss among the scores."""

Statistics = Mapping[str, np.ndarray]
"""Arrays by the name of the score that follows from them."""


def default_metrics(learning: LearningTask) -> tuple[Metric, ...]:
    """The metrics of a task for which the config names none."""
    return tuple(load(Metric, name)() for name in learning.metrics)  # type: ignore[type-abstract]


@dataclass(frozen=True)
class Scoring:
    """The loss of a task, and metrics; the scores of parts of the examples are joined exactly."""

    learning: LearningTask
    metrics: tuple[Metric, ...]

    def statistics(self, outputs: Tensor, y: Tensor) -> dict[str, np.ndarray]:
        """Of some examples. outputs: the network's; y: their targets. The loss is computed in float64."""
        total, n = self.learning.losses(outputs.double(), y)
        found = {LOSS: np.array([total.item(), n], np.float64)}
        return found | {metric.column: metric.statistics(outputs, y) for metric in self.metrics}

    def join(self, parts: Sequence[Statistics]) -> dict[str, np.ndarray]:
        """Of all examples, from those of their parts in order."""
        joined = {LOSS: np.add.accumulate([part[LOSS] for part in parts])[-1]}
        return joined | {m.column: m.join([part[m.column] for part in parts]) for m in self.metrics}

    def values(self, statistics: Statistics) -> dict[str, float]:
        """The metrics, then the mean loss, by name."""
        total, n = statistics[LOSS]
        scores = {metric.column: metric.value(statistics[metric.column]) for metric in self.metrics}
        return scores | {LOSS: float(total / n) if n else math.nan}
