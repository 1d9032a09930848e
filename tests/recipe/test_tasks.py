"""Tasks: losses derived by hand, which data they are for, and every method on a regression and on tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import play, round_of
from toys import NEXT_TOKEN, REGRESSION, whole_toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.client import do
from distreal_sim.config.build import build
from distreal_sim.data.datasets import IGNORED, Data, Examples
from distreal_sim.methods import Method
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.recipe.tasks.auto import Auto
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.recipe.tasks.multilabel import Multilabel
from distreal_sim.recipe.tasks.next_token import NextToken
from distreal_sim.recipe.tasks.regression import Regression
from distreal_sim.simulation.asked import merged
from distreal_sim.simulation.rounds import start


def test_cross_entropy_by_hand() -> None:
    """Scores ln 1, ln 3 for classes 0 and 1: -ln(1/4) and -ln(3/4)."""
    scores = torch.tensor([[1.0, 3.0], [1.0, 3.0]], dtype=torch.float64).log()
    task, y = Classification(), torch.tensor([0, 1])
    assert task.loss(scores, y).item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, rel=1e-12)
    total, n = task.losses(scores, y)
    assert (total.item(), n) == (pytest.approx(math.log(4) + math.log(4 / 3), rel=1e-12), 2)
    assert task.loss_fn is F.cross_entropy
    np.testing.assert_allclose(task.target(scores, y), [[0.25, 0.75]] * 2, rtol=1e-12)


def test_tokens_that_are_not_asked_for_do_not_count() -> None:
    """Of 2 x 2 places three are asked: -ln(1/4) twice and -ln(3/4) once, over three tokens."""
    scores = torch.tensor([1.0, 3.0], dtype=torch.float64).log().expand(2, 2, 2)
    y, task = torch.tensor([[0, 1], [0, IGNORED]]), NextToken()
    total, n = task.losses(scores, y)
    assert (total.item(), n) == (pytest.approx(2 * math.log(4) + math.log(4 / 3), rel=1e-12), 3)
    assert task.loss(scores, y).item() == pytest.approx(total.item() / 3, rel=1e-12)
    nothing = torch.full((2, 2), IGNORED)
    assert task.loss(scores, nothing).item() == 0.0


def test_soft_tokens() -> None:
    """Probabilities of one for the asked tokens and of none elsewhere give the loss of the tokens; the target
    of a place that is not asked has no probability.
    """
    torch.manual_seed(0)
    scores, y = torch.randn(3, 4, 5, dtype=torch.float64), torch.randint(0, 5, (3, 4))
    y[1, 2:] = IGNORED
    soft = F.one_hot(y.clamp(min=0), 5).double() * (y != IGNORED).unsqueeze(-1)
    task = NextToken()
    assert task.loss(scores, soft).item() == pytest.approx(task.loss(scores, y).item(), rel=1e-12)
    sums = task.target(scores, y).sum(-1)
    np.testing.assert_allclose(sums, (y != IGNORED).double(), rtol=1e-12)


def test_squared_error_by_hand() -> None:
    """Errors 1, 0, 2, -1: mean 6 / 4."""
    outputs = torch.tensor([[1.0, 2.0], [5.0, 0.0]], dtype=torch.float64)
    y, task = torch.tensor([[0.0, 2.0], [3.0, 1.0]]), Regression()
    assert task.loss(outputs, y).item() == 1.5
    total, n = task.losses(outputs, y)
    assert (total.item(), n) == (6.0, 4)
    assert task.target(outputs, y) is outputs


def test_binary_cross_entropy_by_hand() -> None:
    """Log-odds ln 3 are 3/4: a label that applies costs -ln(3/4), one that does not -ln(1/4)."""
    outputs = torch.full((1, 2), math.log(3.0), dtype=torch.float64)
    y, task = torch.tensor([[1, 0]], dtype=torch.uint8), Multilabel()
    assert task.loss(outputs, y).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2, rel=1e-12)
    total, n = task.losses(outputs, y)
    assert (total.item(), n) == (pytest.approx(math.log(4 / 3) + math.log(4), rel=1e-12), 2)
    np.testing.assert_allclose(task.target(outputs, y), [[0.75, 0.75]], rtol=1e-12)


Y: dict[str, np.ndarray] = {
    "classification": np.array([0, 1]),
    "next_token": np.array([[0, 1], [1, 0]]),
    "regression": np.array([[0.5], [1.5]], np.float32),
    "multilabel": np.array([[1, 0], [0, 0]], np.uint8),
}
"""Targets that suit each task."""


def data_of(y: np.ndarray) -> Data:
    x = np.zeros((2, 1), np.float32)
    return Data(Examples(x, y), Examples(x, y), 2)


@pytest.mark.parametrize("name", Y)
def test_auto_is_the_task_of_the_targets(name: str) -> None:
    assert Auto().settled(data_of(Y[name]), "mine").name == name


@pytest.mark.parametrize("name", Y)
def test_a_task_takes_its_targets_only(name: str) -> None:
    task: Any = load(LearningTask, name)()  # type: ignore[type-abstract]
    for other, y in Y.items():
        if other == name:
            assert task.settled(data_of(y), "mine") is task
        else:
            with pytest.raises(
                InputError, match=f"task {name} needs .* of data set mine holds .*: use task {other}"
            ):
                task.settled(data_of(y), "mine")


def test_every_task_has_targets_of_its_own() -> None:
    assert {*Y, "auto"} == set(names(LearningTask))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"task": "regression"},
            "task regression needs values for each example, and y of data set digits holds one class for "
            "each example: use task classification, or leave task out",
        ),
        (
            {**REGRESSION, "partition": {"name": "dirichlet", "alpha": 1}},
            "partition dirichlet divides the examples by their class, and y of data set toys.Brightness "
            "holds values for each example; use iid, by_writer, bootstrap or indices",
        ),
        (
            {**NEXT_TOKEN, "model": {"name": "toys.Pooled"}},
            "model toys.Pooled must return outputs of shape (n, 6, 5), a score for each token at each place; "
            "for n = 2 it returns (2, 5)",
        ),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        build(whole_toy(method="fedavg", **changes))
    assert str(caught.value) == expected


BY_STAGES = ("depthfl", "fedel", "inclusivefl")
"""Methods that need the stages of a network, and refuse one without."""


@pytest.mark.parametrize("changes", [REGRESSION, NEXT_TOKEN], ids=["regression", "next_token"])
@pytest.mark.parametrize("name", by_default(names(Method), SOME))
def test_every_method_learns_other_tasks(name: str, changes: dict[str, Any]) -> None:
    """A round's merge is finite and moves something; a client's loss is that of its task, below the bound.

    Squared errors of outputs in 0 .. 1 and of untrained ones are below 10; the cross-entropy of five tokens
    begins near ln 5 = 1.61.
    """
    experiment = whole_toy(method={"name": name}, profile={"name": "constant", "level": 2.0}, **changes)
    if changes is NEXT_TOKEN and name in BY_STAGES:
        with pytest.raises(InputError, match="stages"):
            build(experiment)
        return
    task = build(experiment)
    before = start(experiment, task).state
    now = round_of(range(3))
    updates = [do(task, experiment.method, job) for job in experiment.method.plan(task, before, now)]
    after = merged(experiment.method, task, before, now, iter(updates))
    assert all(np.isfinite(array).all() for array in after.arrays.values())
    assert any((after.arrays[key] != before.arrays[key]).any() for key in before.arrays)
    for update in updates:
        low, high = (0.0, 10.0) if changes is REGRESSION else (0.5, 3.0)
        assert low < update.facts.train_loss < high


@pytest.mark.parametrize(
    ("changes", "start_loss"),
    [(REGRESSION, None), (NEXT_TOKEN, math.log(5))],
    ids=["regression", "next_token"],
)
def test_the_test_loss_falls(changes: dict[str, Any], start_loss: float | None) -> None:
    """FedAvg: each successor has one of two followers, so that the loss nears ln 2 from ln 5."""
    got = play(6, method={"name": "fedavg"}, profile={"name": "constant", "level": 2.0}, **changes)
    losses = [row.test_loss for row in got.rounds]
    assert losses[-1] is not None
    assert losses[0] is not None
    if start_loss is None:
        assert losses[-1] < losses[0]
    else:
        assert math.log(2) * 0.98 < losses[-1] < min(losses[0], start_loss)
