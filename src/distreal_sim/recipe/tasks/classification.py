"""One of several classes for each example."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import PrivateAttr
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.tasks import LearningTask, Loss


class Classification(LearningTask):
    """The mean cross-entropy of the scores (n, n_outputs) of the classes."""

    targets: ClassVar[Targets] = "class"
    asks: ClassVar[str] = "a score for each class"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    names_classes: ClassVar[bool] = True

    _smoothing: float = PrivateAttr(0.0)

    @property
    def loss_fn(self) -> Loss:
        # The function itself, for which the engine has faster steps.
        return self.loss if self._smoothing else F.cross_entropy

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs, y, label_smoothing=0.0 if y.is_floating_point() else self._smoothing)

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        return F.cross_entropy(outputs, y, reduction="sum"), len(y)

    def smoothed(self, share: float) -> Classification:
        own = self.model_copy()
        own._smoothing = share
        return own

    def target(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.softmax(outputs, dim=1)
