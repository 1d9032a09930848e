"""Self-distillation: a sub-network learns the labels, and a smaller one within it learns its outputs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask


def distil_step(
    engine: Engine, x: Tensor, y: Tensor, wide: Mask | None, narrow: Mask | None, lr: float
) -> float:
    """One SGD step on cross-entropy(wide, y) + cross-entropy(narrow, softmax(wide)); returns the first.

    wide, narrow: masks, of which the first keeps every channel of the second. The target is a constant, and
    both forward and backward passes come before the step, which moves what `wide` keeps.
    """
    target: list[Tensor] = []

    def on_labels(outputs: Tensor, labels: Tensor) -> Tensor:
        target.append(F.softmax(outputs.detach(), dim=1))
        return F.cross_entropy(outputs, labels)

    loss = engine.accumulate(x, y, wide, on_labels)
    engine.accumulate(x, target[0], narrow)
    engine.apply(wide, lr)
    return loss
