"""Networks with exits: where they stand, what they say in tests, and which networks have them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.submodels.exits import WithExits


def task_of(method: str, model: str, **options: Any) -> Task:
    return build(toy(method={"name": method, **options}, model={"name": model}))


def exits_of(task: Task) -> WithExits:
    assert isinstance(task.module, WithExits)
    return copy.deepcopy(task.module)


def test_tests_average_the_exits_or_take_the_last() -> None:
    """On the same weights: the mean of the scores of all three exits; for InclusiveFL the network's own."""
    for method, average in (("depthfl", True), ("inclusivefl", False)):
        module = exits_of(task_of(method, "resnet20")).eval()
        x = torch.randn(3, 1, 8, 8)
        with torch.no_grad():
            scores = module.scores(x, range(3))
            expected = torch.stack(scores).mean(0) if average else scores[2]
            torch.testing.assert_close(module(x), expected)
            torch.testing.assert_close(scores[2], module.network(x))


@pytest.mark.slow
def test_fewer_exits_than_stages_stand_at_even_distances() -> None:
    """preresnet has 4 stages: of 2 exits the first comes after the second stage."""
    assert exits_of(task_of("depthfl", "preresnet", depths=2)).after == ("stages.1",)
    assert exits_of(task_of("depthfl", "preresnet")).after == ("stages.0", "stages.1", "stages.2")


@pytest.mark.parametrize("method", ["depthfl", "inclusivefl"])
def test_networks_without_known_stages_are_refused(method: str) -> None:
    with pytest.raises(InputError, match=r"those of TinyResNet are not known; use resnet20, .*small_cnn"):
        task_of(method, "nets.TinyResNet")
    with pytest.raises(InputError, match=r"method.depths \(4\) must be at most 3, the stages of the model"):
        task_of(method, "small_cnn", depths=4)


@pytest.mark.parametrize(("wanted", "n_run"), [([0], 1), ([1], 2), ([0, 1], 2), ([0, 2], 3)])
def test_no_later_stage_is_run(wanted: list[int], n_run: int) -> None:
    """small_cnn has a convolution a stage: to exit k the first k + 1 are run, and no hook remains.

    The scores are those of the same exits where all are asked for.
    """
    module = exits_of(task_of("depthfl", "small_cnn")).eval()
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        every = module.scores(x, range(3))
        run: list[str] = []
        for name in ("conv1", "conv2", "conv3"):
            part = module.network.get_submodule(f"{name}.conv")
            part.register_forward_hook(lambda *_, name=name: run.append(name))
        scores = module.scores(x, wanted)
        assert run == ["conv1", "conv2", "conv3"][:n_run]
        assert len(scores) == len(wanted)
        assert all(torch.equal(own, every[number]) for own, number in zip(scores, wanted, strict=True))
    assert not any(module.network.get_submodule(name)._forward_hooks for name in module.after)
