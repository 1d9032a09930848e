"""The groups that are found, written down by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.thinning.coupling.groups import find_groups


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # c = concat(a, b) channel by channel, so c has no group of its own; d is concatenated, e follows.
        (
            "ResidualConcat",
            [("a", 5, "conv", 1), ("b", 7, "conv", 1), ("d", 6, "conv", 1), ("e", 9, "conv", 1)],
        ),
        # `two` has two filters for each channel of the stem; `three` is added to `point`.
        ("Depthwise", [("stem", 8, "conv", 1), ("point", 10, "conv", 1)]),
        # The stem has 3 groups, `a` 2, and both are added: 6 equal blocks.
        ("Grouped", [("stem", 12, "conv", 6), ("b", 18, "conv", 2), ("c", 8, "conv", 2)]),
        ("Temporal", [("a", 6, "conv", 1), ("b", 7, "conv", 1), ("c", 11, "linear", 1)]),
        # `twice`, `excite` and the scale are added to or multiplied with the stem.
        (
            "Odd",
            [
                ("stem", 6, "conv", 1),
                ("squeeze", 3, "linear", 1),
                ("branch", 5, "conv", 1),
                ("joined", 9, "linear", 1),
            ],
        ),
        # A group a stage, the first one with the stem; one inside each of the nine blocks.
        (
            "resnet20",
            [("conv", 16, "conv", 1)]
            + [(f"stages.0.{b}.conv1", 16, "conv", 1) for b in range(3)]
            + [("stages.1.0.conv1", 32, "conv", 1), ("stages.1.0.conv2", 32, "conv", 1)]
            + [(f"stages.1.{b}.conv1", 32, "conv", 1) for b in (1, 2)]
            + [("stages.2.0.conv1", 64, "conv", 1), ("stages.2.0.conv2", 64, "conv", 1)]
            + [(f"stages.2.{b}.conv1", 64, "conv", 1) for b in (1, 2)],
        ),
    ],
)  # fmt: skip
def test_groups(name, expected, make_net):
    net = make_net(name)
    structure = find_groups(net.module, net.x)
    assert [(g.name, g.channels, g.kind, g.blocks) for g in structure.groups] == expected


def test_axes_of_a_concatenation_and_a_flatten(make_net):
    """`d` of ResidualConcat reads a then b, `e` reads d and then both; behind a flatten b owns 5 inputs."""
    net = make_net("ResidualConcat")
    tensors = find_groups(net.module, net.x).tensors
    assert [(s.group, s.size, s.inner) for s in tensors["d.weight"].axes[1]] == [(0, 5, 1), (1, 7, 1)]
    assert [(s.group, s.size, s.inner) for s in tensors["e.weight"].axes[1]] == [
        (2, 6, 1),
        (0, 5, 1),
        (1, 7, 1),
    ]
    assert [(s.group, s.size, s.inner) for s in tensors["a.weight"].axes[1]] == [(-1, 3, 1)]
    net = make_net("Temporal")
    tensors = find_groups(net.module, net.x).tensors
    assert [(s.group, s.size, s.inner) for s in tensors["c.weight"].axes[1]] == [(1, 7, 5)]
    assert [(s.group, s.size, s.inner) for s in tensors["flat.running_mean"].axes[0]] == [(1, 7, 5)]


class Joined(nn.Module):
    """`join` of two convolutions that read a third one, then the classes."""

    def __init__(self, join):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 5, 1), nn.Conv2d(6, 5, 1)
        self.out, self.join = nn.Linear(5, 3), join

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.a(x))
        return self.out(self.join(self.b(hidden), self.c(hidden)).mean((2, 3)))


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        (lambda b, c: F.relu(b) * c, ["a", "b"]),
        # One map below the other: channel i of b and channel i of c are read by the same weights.
        (lambda b, c: torch.cat([b, c], 2), ["a", "b"]),
        # Without one channel the others would get more.
        (lambda b, c: torch.softmax(b, 1) * c, ["a"]),
        (lambda b, c: torch.softmax(b, 2) * c, ["a", "b"]),
    ],
    ids=["product", "below", "softmax of channels", "softmax of rows"],
)
def test_what_a_join_does_to_the_channels_of_both(join, expected):
    structure = find_groups(Joined(join), torch.randn(2, 1, 4, 4))
    assert [g.name for g in structure.groups] == expected
    axes = [structure.tensors[f"{name}.weight"].axes[0] for name in ("b", "c")]
    assert axes[0] == axes[1]
