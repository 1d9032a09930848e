"""Loss and hits of a classifier in a test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.statistics import outputs_in_test


def loss_and_hits(
    engine: Engine, statistics: Mapping[str, np.ndarray], x: Tensor, y: Tensor, mask: Mask | None = None
) -> tuple[float, int]:
    """(sum of cross-entropies, number of right answers) of the loaded network on x, y."""
    outputs = outputs_in_test(engine, statistics, x, mask)
    loss = F.cross_entropy(outputs.double(), y, reduction="sum")
    return loss.item(), int((outputs.argmax(1) == y).sum())
