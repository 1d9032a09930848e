"""Labels of which any number applies to an example."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from distreal_sim.data.datasets import Targets
from distreal_sim.recipe.tasks import LearningTask


class Multilabel(LearningTask):
    """The mean binary cross-entropy over all labels (n, n_outputs) of a mini-batch.

    Outputs: log-odds; a label is predicted where its output is above 0.
    """

    targets: ClassVar[Targets] = "marks"
    asks: ClassVar[str] = "the log-odds of each label"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "auroc")

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, y.to(outputs.dtype))

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        wanted = y.to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, wanted, reduction="sum"), y.numel()

    def target(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.sigmoid(outputs)
