"""Classes that a client has no example of: a loss and a merge that leave them out, as HeteroFL does."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distreal_sim.client.task import Task
from distreal_sim.client.train import TakeStep
from distreal_sim.thinning.engine.engine import Engine, Loss
from distreal_sim.thinning.masks import Mask


def classes_of(task: Task, client_id: int) -> np.ndarray | None:
    """(n_classes,) bool: the classes that the client has examples of; None if it has all."""
    present = np.zeros(task.data.n_classes, bool)
    present[task.data.train.y[task.split[client_id]]] = True
    return None if present.all() else present


def steps_among(classes: np.ndarray | None, device: str, max_norm: float | None = None) -> TakeStep:
    """Steps on the cross-entropy masked to these classes; max_norm: of the gradient, None for any."""
    loss_fn = F.cross_entropy if classes is None else masked_cross_entropy(classes, device)

    def take(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, loss_fn, max_norm=max_norm)

    return take


def masked_cross_entropy(classes: np.ndarray, device: str = "cpu") -> Loss:
    """Cross-entropy over all classes, those not in `classes` (n_classes,) having score 0."""
    absent = torch.from_numpy(~classes).to(device)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs.masked_fill(absent, 0.0), y)

    return loss
