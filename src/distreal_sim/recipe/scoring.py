"""Scores of a network on test examples: its loss and the metrics of its task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.metrics import Better, Metric
from distreal_sim.recipe.tasks import IN_WORDS, LearningTask

LOSS = "loss"
"""Name of the mean loss among the scores."""

BY_CLASS = "by class"
"""Name of the counts of each class among the statistics; no metric's column has a space."""

CLASS_COLUMNS = ("label", "n_examples", "n_predicted", "accuracy")
"""Columns of a row of `Scoring.of_classes`."""

Statistics = Mapping[str, np.ndarray]
"""Arrays by the name of the score that follows from them."""


def scoring_of(
    learning: LearningTask, metrics: Sequence[Metric], targets: Targets, by_class: bool = False
) -> Scoring:
    """The loss of a task and these metrics, or the task's own for none; by_class: see `Scoring`.

    Raises InputError for a metric that is not for these targets, for two of one name, and for classes where
    there are none.
    """
    if by_class and targets != "class":
        raise InputError(
            f"evaluation.classes: true counts the examples of each class, but y holds {IN_WORDS[targets]}"
        )
    if not metrics:
        named: list[type[Metric]] = [load(Metric, name) for name in learning.metrics]  # type: ignore[type-abstract]
        return Scoring(learning, tuple(kind() for kind in named), by_class)
    seen = {LOSS}
    for metric in metrics:
        if targets not in metric.targets:
            raise InputError(
                f"evaluation.metrics: {metric.name} cannot be measured where y holds {IN_WORDS[targets]}; "
                f"those that can: {', '.join(_for(targets))}"
            )
        if metric.column in seen:
            raise InputError(f"evaluation.metrics: two scores are called {metric.column}; name each once")
        seen.add(metric.column)
    return Scoring(learning, tuple(metrics), by_class)


def _for(targets: Targets) -> list[str]:
    """Names of the bundled metrics for these targets."""
    every: dict[str, type[Metric]] = {name: load(Metric, name) for name in names(Metric)}  # type: ignore[type-abstract]
    return [name for name, kind in every.items() if targets in kind.targets]


@dataclass(frozen=True)
class Scoring:
    """The loss of a task, and metrics; the scores of parts of the examples are joined exactly.

    by_class: whether the examples of each class are counted apart.
    """

    learning: LearningTask
    metrics: tuple[Metric, ...]
    by_class: bool = False

    @property
    def better(self) -> dict[str, Better]:
        """The scores in the order of `values`, and which values of each are better."""
        return {metric.column: metric.better for metric in self.metrics} | {LOSS: "lower"}

    def check_targets(self, targets: Iterable[float]) -> None:
        """Raises InputError for a target that the first metric, the score that tables show, cannot have."""
        for metric in self.metrics[:1]:
            low, high = metric.span
            for target in targets:
                if not low < target <= high:
                    raise InputError(
                        f"target {target:g} is no value of {metric.column}, the first score that is "
                        f"measured: it must be more than {low:g} and at most {high:g}"
                    )

    def statistics(self, outputs: Tensor, y: Tensor) -> dict[str, np.ndarray]:
        """Of some examples. outputs: the network's; y: their targets. The loss is computed in float64."""
        total, n = self.learning.losses(outputs.double(), y)
        found = {LOSS: np.array([total.item(), n], np.float64)}
        if self.by_class:
            found[BY_CLASS] = _counts(outputs, y)
        return found | {metric.column: metric.statistics(outputs, y) for metric in self.metrics}

    def join(self, parts: Sequence[Statistics]) -> dict[str, np.ndarray]:
        """Of all examples, from those of their parts in order."""
        sums = (LOSS, BY_CLASS) if self.by_class else (LOSS,)
        joined = {name: np.add.accumulate([part[name] for part in parts])[-1] for name in sums}
        return joined | {m.column: m.join([part[m.column] for part in parts]) for m in self.metrics}

    def values(self, statistics: Statistics) -> dict[str, float]:
        """The metrics, then the mean loss, by name."""
        total, n = statistics[LOSS]
        scores = {metric.column: metric.value(statistics[metric.column]) for metric in self.metrics}
        return scores | {LOSS: float(total / n) if n else math.nan}

    def of_classes(self, statistics: Statistics) -> list[dict[str, float]]:
        """CLASS_COLUMNS of each class, from class 0; nothing unless they are counted.

        n_predicted: examples of any class that were taken for it; accuracy: share of its own examples that
        were, NaN where it has none.
        """
        if not self.by_class:
            return []
        right, predicted, there = statistics[BY_CLASS].tolist()
        return [
            {
                "label": label,
                "n_examples": int(n),
                "n_predicted": int(predicted[label]),
                "accuracy": right[label] / n if n else math.nan,
            }
            for label, n in enumerate(there)
        ]


def _counts(outputs: Tensor, y: Tensor) -> np.ndarray:
    """(3, n_classes): right answers by class, answers, and examples. outputs: (n, n_classes); y: (n,)."""
    given = outputs.argmax(1)
    parts = [torch.bincount(own, minlength=outputs.shape[1]) for own in (y[given == y], given, y)]
    return torch.stack(parts).double().cpu().numpy()
