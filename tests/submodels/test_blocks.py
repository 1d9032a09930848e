"""A network as a row of blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from toys import toy

from distreal_sim.config.build import build
from distreal_sim.submodels.blocks import blocks_of
from distreal_sim.submodels.exits import WithExits
from distreal_sim.thinning.coupling.groups import find_groups


def task_of(model: str) -> Any:
    return build(toy(method={"name": "cocofl"}, model={"name": model}))


def test_blocks() -> None:
    """A lone norm belongs to the layer before it; residual blocks stay whole; the order is that of running.

    TinyDenseNet lists its last layer before the transition that runs earlier.
    """
    task = task_of("nets.TinyResNet")
    blocks = blocks_of(task.module, task.structure)
    assert [{name.split(".")[0] for name in block} for block in blocks] == [
        {"stem", "stem_bn"},
        {"block1"},
        {"block2"},
        {"out"},
    ]
    task = task_of("nets.TinyDenseNet")
    blocks = blocks_of(task.module, task.structure)
    assert [block[0] for block in blocks] == [
        "stem.weight",
        "conv1.weight",
        "conv2.weight",
        "transition.weight",
        "out.weight",
    ]
    assert blocks[1] == ("conv1.weight", "bn2.weight", "bn2.bias")


@pytest.mark.parametrize("model", ["small_cnn", "resnet20", "preresnet"])
def test_every_parameter_is_in_one_block(model: str) -> None:
    task = task_of(model)
    names = [name for block in blocks_of(task.module, task.structure) for name in block]
    assert sorted(names) == sorted(task.structure.parameters)


class Odd(nn.Module):
    """A norm listed first, containers in a container, a frozen layer, and a parameter of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3)),
            nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1, bias=False)),
            nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 1)),
        )
        self.out = nn.Linear(5, 2)
        self.out.bias.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.out(self.body(self.norm(x)).mean((2, 3)) * self.scale)
        return scores


def test_odd_parts() -> None:
    """The norm that nothing is before joins the first block, and so does the lone parameter. A container of
    one convolution is a block, with the norm in it; one of two is taken apart. A frozen parameter is in none.
    """
    module = Odd()
    structure = find_groups(module, torch.zeros(2, 1, 4, 4))
    expected = [
        ("norm.weight", "norm.bias", "body.0.0.weight", "body.0.1.weight", "body.0.1.bias", "scale"),
        ("body.1.0.weight", "body.1.0.bias", "body.1.1.weight"),
        ("body.2.0.weight",),
        ("body.2.2.weight", "body.2.2.bias"),
        ("out.weight",),
    ]
    assert blocks_of(module, structure) == expected


def test_a_part_of_a_network() -> None:
    """The network within one with exits: its names have the prefix, and the exits are in no block."""
    task = build(toy(method={"name": "depthfl"}))
    assert isinstance(task.module, WithExits)
    blocks = blocks_of(task.module.network, task.structure, "network.")
    first = [names[0] for names in blocks]
    assert first == [
        f"network.{layer}.weight" for layer in ("conv1.conv", "conv2.conv", "conv3.conv", "linear")
    ]
