"""Real numbers for each example."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.tasks import LearningTask


class Regression(LearningTask):
    """The mean squared error over all values (n, n_outputs) of a mini-batch, in the square of y's unit."""

    targets: ClassVar[Targets] = "values"
    asks: ClassVar[str] = "one for each value"
    metrics: ClassVar[tuple[str, ...]] = ("mae", "r2")

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(outputs, y.to(outputs.dtype))

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        return F.mse_loss(outputs, y.to(outputs.dtype), reduction="sum"), y.numel()
