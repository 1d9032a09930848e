"""Ways to compute a step: towards the round's start, some parameters only, some classes only, distilled."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distreal_sim.client.schedule import Compute, sgd_step
from distreal_sim.client.task import Task
from distreal_sim.thinning.engine.engine import Engine, Loss
from distreal_sim.thinning.masks import Mask


def proximal_steps(mu: float) -> Compute:
    """Full-network SGD on loss + mu / 2 * |w - w_start|^2, w_start being what was loaded; mu 0: plain SGD.

    The term's gradient joins the loss's before weight decay and momentum, as if autograd had found it.
    """
    if mu == 0:
        return sgd_step

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, proximal=mu)

    return compute


def partial_steps(names: Collection[str]) -> Compute:
    """Steps on the cross-entropy that change only these parameters."""
    trained = frozenset(names)

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, trained=trained)

    return compute


def classes_of(task: Task, client_id: int) -> np.ndarray | None:
    """(n_classes,) bool: the classes that the client has examples of; None if it has all.

    HeteroFL leaves the others out of its loss and of its merge.
    """
    present = np.zeros(task.data.n_outputs, bool)
    present[task.data.train.y[task.split[client_id]]] = True
    return None if present.all() else present


def steps_among(classes: np.ndarray | None, device: str, max_norm: float | None = None) -> Compute:
    """Steps on the cross-entropy masked to these classes; max_norm: of the gradient, None for any."""
    loss_fn = F.cross_entropy if classes is None else masked_cross_entropy(classes, device)

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, loss_fn, max_norm=max_norm)

    return compute


def masked_cross_entropy(classes: np.ndarray, device: str = "cpu") -> Loss:
    """Cross-entropy over all classes, those not in `classes` (n_classes,) having score 0."""
    absent = torch.from_numpy(~classes).to(device)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs.masked_fill(absent, 0.0), y)

    return loss


def distil_step(
    engine: Engine, x: Tensor, y: Tensor, wide: Mask | None, narrow: Mask | None, lr: float
) -> float:
    """One SGD step on cross-entropy(wide, y) + cross-entropy(narrow, softmax(wide)); returns the first.

    A sub-network learns the labels, and a smaller one within it learns its outputs. wide, narrow: masks, of
    which the first keeps every channel of the second. The target is a constant, and both forward and backward
    passes come before the step, which moves what `wide` keeps.
    """
    target: list[Tensor] = []

    def on_labels(outputs: Tensor, labels: Tensor) -> Tensor:
        target.append(F.softmax(outputs.detach(), dim=1))
        return F.cross_entropy(outputs, labels)

    loss = engine.accumulate(x, y, wide, on_labels)
    engine.accumulate(x, target[0], narrow)
    engine.apply(wide, lr)
    return loss
