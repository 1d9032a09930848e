"""Ways to compute a step: towards the round's start, some parameters only, some classes only, distilled."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from distreal_sim.client.schedule import Compute, plain_step
from distreal_sim.client.task import Task
from distreal_sim.data.datasets import IGNORED
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.thinning.engine.engine import Engine, Loss
from distreal_sim.thinning.masks import Mask


def proximal_steps(mu: float) -> Compute:
    """Full-network steps on loss + mu / 2 * |w - w_start|^2, w_start being what was loaded; 0: plain steps.

    The term's gradient joins the loss's before weight decay and momentum, as if autograd had found it.
    """
    if mu == 0:
        return plain_step

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, proximal=mu)

    return compute


def partial_steps(names: Collection[str]) -> Compute:
    """Steps on the task's loss that change only these parameters."""
    trained = frozenset(names)

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, trained=trained)

    return compute


def classes_of(task: Task, client_id: int) -> np.ndarray | None:
    """(n_outputs,) bool: the classes (or tokens) that the client has examples of; None if it has all, or if
    the task's outputs are no scores of classes.

    HeteroFL leaves the others out of its loss and of its merge.
    """
    if not task.scoring.learning.names_classes:
        return None
    y = task.data.train.y[task.split[client_id]]
    present = np.zeros(task.data.n_outputs, bool)
    present[y[y != IGNORED]] = True
    return None if present.all() else present


def steps_among(learning: LearningTask, classes: np.ndarray | None, device: str) -> Compute:
    """Steps on the task's loss masked to these classes."""
    loss_fn = None if classes is None else masked_loss(learning.loss, classes, device)

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, loss_fn)

    return compute


def masked_loss(loss_fn: Loss, classes: np.ndarray, device: str = "cpu") -> Loss:
    """The loss over all classes, those not in `classes` (n_outputs,) having score 0."""
    absent = torch.from_numpy(~classes).to(device)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return loss_fn(outputs.masked_fill(absent, 0.0), y)

    return loss


def distil_step(
    learning: LearningTask,
    engine: Engine,
    x: Tensor,
    y: Tensor,
    wide: Mask | None,
    narrow: Mask | None,
    lr: float,
) -> float:
    """One step on loss(wide, y) + loss(narrow, target(wide)); returns the first.

    A sub-network learns the labels, and a smaller one within it learns its outputs: in classification their
    softmax. wide, narrow: masks, of which the first keeps every channel of the second. The target is a
    constant, and both forward and backward passes come before the step, which moves what `wide` keeps.
    """
    target: list[Tensor] = []

    def on_labels(outputs: Tensor, labels: Tensor) -> Tensor:
        target.append(learning.target(outputs.detach(), labels))
        return learning.loss(outputs, labels)

    loss = engine.accumulate(x, y, wide, on_labels)
    engine.accumulate(x, target[0], narrow)
    engine.apply(wide, lr)
    return loss
