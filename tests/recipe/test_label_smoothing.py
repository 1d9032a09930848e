"""Label smoothing: the formula, and that every method trains by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import updates_of
from toys import TOY, toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.data.datasets import IGNORED
from distreal_sim.methods import Method
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.recipe.tasks.multilabel import Multilabel
from distreal_sim.recipe.tasks.next_token import NextToken
from distreal_sim.recipe.tasks.regression import Regression


@pytest.mark.parametrize("task", [Classification(), NextToken()])
def test_the_formula(task: LearningTask) -> None:
    """-(1 - s) log p_y - s / K sum_k log p_k, for s = 0.3 and K = 4, in the mean over what y names; the loss
    in tests, and that towards another network's outputs, as without.
    """
    generator = torch.Generator().manual_seed(1)
    tokens = isinstance(task, NextToken)
    outputs = torch.randn((3, 2, 4) if tokens else (6, 4), dtype=torch.float64, generator=generator)
    y = torch.tensor([0, 3, 1, 1, 2, 0])
    if tokens:
        y = y.reshape(3, 2).clone()
        y[1, 0] = IGNORED
    logs, labels = F.log_softmax(outputs.reshape(6, 4), dim=1).numpy(), y.flatten().numpy()
    asked = np.flatnonzero(labels != IGNORED)
    expected = np.mean([-0.7 * logs[i, labels[i]] - 0.3 / 4 * logs[i].sum() for i in asked])
    smoothed = task.smoothed(0.3)
    assert smoothed.loss(outputs, y).item() == pytest.approx(expected, rel=1e-12)
    assert smoothed.loss_fn(outputs, y).item() == pytest.approx(expected, rel=1e-12)
    assert task.loss(outputs, y).item() != pytest.approx(expected, rel=1e-2)
    assert smoothed.losses(outputs, y)[0] == task.losses(outputs, y)[0]
    lesson = task.target(outputs.flip(0), y)
    assert smoothed.loss(outputs, lesson) == task.loss(outputs, lesson)


@pytest.mark.parametrize("name", by_default(names(Method), SOME))
def test_every_method_trains_by_it(name: str) -> None:
    """The loss is linear in the share: at rate 0, with the same masks, that at 0.25 is the mean of those at 0
    and 0.5, which differ.
    """
    losses = []
    for share in (0.0, 0.25, 0.5):
        local = {**TOY["local"], "epochs": None, "steps": 2, "lr": 0.0, "label_smoothing": share}
        steady = {"name": "constant", "level": 1.0}
        _, _, updates = updates_of(toy(method={"name": name}, profile=steady, local=local), n_clients=3)
        losses.append([update.facts.train_loss for update in updates])
    none, some, more = np.array(losses)
    np.testing.assert_allclose(some, (none + more) / 2, rtol=1e-4)
    assert (abs(more - none) > 1e-3).any()


@pytest.mark.parametrize("task", [Regression(), Multilabel()])
def test_tasks_without_classes_refuse_it(task: LearningTask) -> None:
    with pytest.raises(InputError, match=rf"local\.label_smoothing \(0\.1\) .* task {task.name} are not"):
        task.smoothed(0.1)
