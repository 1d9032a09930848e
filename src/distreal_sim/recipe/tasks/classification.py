"""One of several classes for each example."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.tasks import LearningTask, Loss


class Classification(LearningTask):
    """The mean cross-entropy of the scores (n, n_outputs) of the classes."""

    targets: ClassVar[Targets] = "class"
    asks: ClassVar[str] = "a score for each class"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    names_classes: ClassVar[bool] = True

    @property
    def loss_fn(self) -> Loss:
        return F.cross_entropy  # the function itself, for which the engine has faster steps

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs, y)

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        return F.cross_entropy(outputs, y, reduction="sum"), len(y)

    def target(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.softmax(outputs, dim=1)
