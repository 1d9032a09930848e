"""What a network changes beside its parameters: put back at every load, and by `gradients`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import first_mask


class Moody(nn.Module):
    """Two layers whose outputs `mood(self)` is added to; the structure is found before it has any."""

    def __init__(self, mood: Callable[[Any], Any]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.register_buffer("average", torch.zeros(1))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("cache", None)
        self.teacher = nn.Parameter(torch.ones(1), requires_grad=False)
        self.calls, self.seen, self.rng = 0, [], np.random.default_rng(1)
        self.table: dict[str, Any] = {"last": torch.zeros(1)}
        self.mood, self.has_moods = mood, False

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.first(x).relu())
        return x * (1 + self.mood(self)) if self.has_moods else x


def in_place(net: Any) -> Any:
    return net.average.mul_(0.5).add_(0.5).item()


def rebound(net: Any) -> Any:
    net.average = 0.5 * net.average + 0.5
    return net.average


def counted(net: Any) -> Any:
    net.count += 1
    return net.count.item()


def lazy(net: Any) -> Any:
    net.cache = torch.ones(1) if net.cache is None else net.cache + 1
    return net.cache


def new_buffer(net: Any) -> Any:
    net.register_buffer("later", getattr(net, "later", torch.zeros(1)) + 1)
    return net.later


def momentum_encoder(net: Any) -> Any:
    with torch.no_grad():
        net.teacher.mul_(0.9)
    return net.teacher.item()


def attribute(net: Any) -> Any:
    net.calls += 1
    return net.calls


def new_attribute(net: Any) -> Any:
    net.called = getattr(net, "called", 0) + 1
    return net.called


def appended(net: Any) -> Any:
    net.seen.append(1)
    return len(net.seen)


def generator(net: Any) -> Any:
    return net.rng.random()


def nested(net: Any) -> Any:
    net.table["last"] += 1
    return net.table["last"].item()


MOODS = [
    in_place, rebound, counted, lazy, new_buffer, momentum_encoder, attribute, new_attribute, appended,
    generator, nested,
]  # fmt: skip


@pytest.mark.parametrize("mood", MOODS)
def test_a_job_does_not_see_the_one_before(mood: Callable[[Any], Any]) -> None:
    """The same weights and batches give the same losses, job after job; within a job the mood goes on.

    The third job is that of an engine which has done nothing before.
    """
    module = Moody(mood)
    structure = find_groups(module, torch.zeros(2, 4))
    module.has_moods = True
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    masks = [None, None, first_mask(structure, (3,))]

    def job(engine: Engine) -> list[float]:
        engine.load(arrays)
        return [engine.step(x, y, mask, 0.0) for mask in masks]

    engine, fresh = (Engine(module, structure, momentum=0.9) for _ in range(2))
    arrays = engine.export()
    first = job(engine)
    assert first[0] != first[1]
    assert job(engine) == first
    assert job(fresh) == first


@pytest.mark.parametrize("mood", MOODS)
def test_gradients_change_nothing(mood: Callable[[Any], Any]) -> None:
    """Asked for twice, at full width and at half, loss and gradients are the same; so is the step behind."""
    module = Moody(mood)
    structure = find_groups(module, torch.zeros(2, 4))
    module.has_moods = True
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    engine, other = (Engine(module, structure) for _ in range(2))
    for mask in (None, first_mask(structure, (3,))):
        loss, gradients = engine.gradients(x, y, mask)
        again, same = engine.gradients(x, y, mask)
        assert again == loss
        assert all(torch.equal(gradients[name], same[name]) for name in gradients)
        assert engine.step(x, y, mask, 0.1) == other.step(x, y, mask, 0.1) == loss


def test_gradients_leave_running_statistics_alone() -> None:
    """Statistics that steps would update are what they were, their count of batches too."""
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))
    structure = find_groups(module, torch.zeros(2, 2, 3, 3))
    engine = Engine(module, structure, running=True)
    before = engine.export()
    x, y = torch.randn(5, 2, 3, 3), torch.tensor([0, 1, 2, 0, 1])
    engine.gradients(x, y, None)
    engine.gradients(x, y, first_mask(structure, (2,)))
    after = engine.export()
    assert {n: a.tobytes() for n, a in after.items()} == {n: a.tobytes() for n, a in before.items()}
    engine.step(x, y, None, 0.0)
    assert engine.export()["1.running_mean"].tobytes() != before["1.running_mean"].tobytes()
