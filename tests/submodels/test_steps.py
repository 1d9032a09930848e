"""Ways to compute a step, each against autograd or by hand."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import toy

from distreal_sim.client.schedule import plain_step
from distreal_sim.config.build import build
from distreal_sim.data.partitions import Split
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.submodels.steps import (
    classes_of,
    distil_step,
    masked_loss,
    partial_steps,
    proximal_steps,
    steps_among,
)
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask


class ChainWithLargeLinear(nn.Module):
    """Convolution, batch norm, and a linear layer large enough for the engine's own gradient memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.hidden, self.out = nn.Linear(16 * 64, 256), nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn(self.conv(x))).flatten(1)
        return self.out(F.relu(self.hidden(x)))


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.9, 0.01)])
def test_steps_are_those_of_the_regularised_loss(momentum: float, weight_decay: float) -> None:
    """Five steps equal torch.optim.SGD on autograd's gradient of loss + mu / 2 |w - w_0|^2, to 1e-9 in
    float64.

    FedNova's official code adds the proximal gradient in place to the momentum buffer after the loss's
    gradient went in. That gives these same steps; an update that leaves the term out of the buffer (what
    that code seems to intend) does not, and is told apart here with momentum.
    """
    torch.manual_seed(3)
    module = ChainWithLargeLinear().double()
    twin = copy.deepcopy(module).train()
    structure = find_groups(copy.deepcopy(module).float(), torch.zeros(2, 1, 8, 8))
    engine = Engine(
        module, structure, momentum=momentum, weight_decay=weight_decay, dtype=torch.float64, device="cpu"
    )
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=momentum, weight_decay=weight_decay)
    anchors = [p.detach().clone() for p in twin.parameters()]
    take, mu = proximal_steps(0.7), 0.7
    for _ in range(5):
        x, y = torch.randn(8, 1, 8, 8, dtype=torch.float64), torch.randint(0, 10, (8,))
        take(engine, x, y, None, 0.05)
        away = sum(((p - a) ** 2).sum() for p, a in zip(twin.parameters(), anchors, strict=True))
        optimizer.zero_grad()
        (F.cross_entropy(twin(x), y) + mu / 2 * away).backward()
        optimizer.step()
    exported = engine.export()
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(exported[name], parameter.detach().numpy(), rtol=0, atol=1e-9)


def test_masked_loss_by_hand() -> None:
    """Scores 1, 2, 3 with the third class absent, y = 0: its score counts as 0, not as -inf.

    log(e + e^2 + 1) - 1, where leaving the class out of the softmax would give log(e + e^2) - 1. The
    gradient: softmax of (1, 2, 0) minus one-hot; exactly 0 at the absent class.
    """
    scores = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    loss = masked_loss(F.cross_entropy, np.array([True, True, False]))(scores, torch.tensor([0]))
    total = math.e + math.e**2 + 1
    assert loss.item() == pytest.approx(math.log(total) - 1, rel=1e-12)
    assert abs(loss.item() - (math.log(math.e + math.e**2) - 1)) > 0.08
    (gradient,) = torch.autograd.grad(loss, scores)
    np.testing.assert_allclose(gradient, [[math.e / total - 1, math.e**2 / total, 0]], rtol=1e-12)
    assert gradient[0, 2].item() == 0


class Chain(nn.Module):
    """3 inputs, 4 hidden units, 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.b(torch.tanh(self.a(x)))
        return out


def test_the_distilled_gradient_is_that_of_soft_labels_held_constant() -> None:
    """Plato's FjORD takes the mean squared error of the scores, without holding the teacher's constant. This
    step is autograd's on CE(full, y) + CE(first 2 units, softmax(full) held constant), float64, 1e-12, and
    neither that of the squared error nor that of a teacher that learns from its pupil.
    """
    torch.manual_seed(0)
    module, rng = Chain().double(), np.random.default_rng(2)
    x, y = torch.from_numpy(rng.normal(size=(6, 3))), torch.from_numpy(rng.integers(0, 3, 6))
    engine = Engine(module, find_groups(copy.deepcopy(module), x), dtype=torch.float64)

    def moved(kind: str) -> dict[str, np.ndarray]:
        twin = copy.deepcopy(module)
        wide = twin(x)
        narrow = torch.tanh(x @ twin.a.weight[:2].T + twin.a.bias[:2]) @ twin.b.weight[:, :2].T + twin.b.bias
        loss = F.cross_entropy(wide, y)
        if kind == "squared error":
            loss = loss + F.mse_loss(narrow, wide)
        else:
            soft = F.softmax(wide, dim=1)
            loss = loss + F.cross_entropy(narrow, soft if kind == "learning teacher" else soft.detach())
        loss.backward()
        return {n: (p - 0.1 * p.grad).detach().numpy() for n, p in twin.named_parameters()}

    loss = distil_step(Classification(), engine, x, y, None, Mask((np.array([0, 1]),)), 0.1)
    assert loss == pytest.approx(F.cross_entropy(module(x), y).item(), abs=1e-12)
    after = engine.export()
    for name, expected in moved("constant").items():
        np.testing.assert_allclose(after[name], expected, rtol=0, atol=1e-12)
    for wrong in ("squared error", "learning teacher"):
        assert max(np.abs(after[n] - v).max() for n, v in moved(wrong).items()) > 1e-3


def two_layers() -> tuple[Engine, dict[str, np.ndarray], torch.Tensor, torch.Tensor]:
    """3 inputs, 4 hidden units, 3 classes, in float64: (engine, parameters, x, y)."""
    torch.manual_seed(0)
    module = Chain().double()
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    engine = Engine(module, find_groups(copy.deepcopy(module), x), dtype=torch.float64)
    return engine, {name: array.copy() for name, array in engine.export().items()}, x, y


def test_partial_steps_move_only_these() -> None:
    """As the full step moves them, the gradient being the same; the others keep their bytes."""
    full, _, x, y = two_layers()
    plain_step(full, x, y, None, 0.1)
    engine, before, x, y = two_layers()
    partial_steps(["b.weight", "a.bias"])(engine, x, y, None, 0.1)
    after, whole = engine.export(), full.export()
    for name in before:
        if name in ("b.weight", "a.bias"):
            np.testing.assert_allclose(after[name], whole[name], rtol=0, atol=1e-14)
            assert np.abs(after[name] - before[name]).max() > 1e-4
        else:
            assert after[name].tobytes() == before[name].tobytes()


def test_without_a_proximal_term_it_is_plain_sgd() -> None:
    assert proximal_steps(0.0) is plain_step


def test_steps_among_some_classes() -> None:
    """Class 1 is absent: its bias has no gradient; among all classes it has one."""
    for classes, moves in ((np.array([True, False, True]), False), (None, True)):
        engine, before, x, _ = two_layers()
        steps_among(Classification(), classes, "cpu")(engine, x, torch.tensor([0, 2, 0, 2, 2, 0]), None, 0.1)
        moved = engine.export()["b.bias"] != before["b.bias"]
        assert moved.tolist() == [True, moves, True]


def test_the_classes_that_a_client_has() -> None:
    """A training example of each digit; a client holds two, nine or all of them."""
    task = build(toy())
    y = task.data.train.y
    one_of_each = [int(np.flatnonzero(y == k)[0]) for k in range(10)]
    for examples, classes in ((one_of_each[3:5], [3, 4]), (one_of_each[:9], list(range(9)))):
        own = replace(task, split=Split(np.array(examples), np.array([0, len(examples)])))
        present = classes_of(own, 0)
        assert present is not None
        assert np.flatnonzero(present).tolist() == classes
    assert classes_of(replace(task, split=Split(np.array(one_of_each), np.array([0, 10]))), 0) is None
