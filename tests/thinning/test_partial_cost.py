"""Closed-form costs of steps that train some parameters only, against torch's counter and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from thinning.test_cost import by_group
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.cost import forward_macs, partial_macs, training_macs
from distreal_sim.thinning.coupling.groups import find_groups


def test_freezing_by_hand():
    """Convs 3 -> 4 -> 5 of 1x1 on 2x2, pooled to 1x1, linear 5 -> 6: forward 48 + 80 + 30 = 158 MACs.

    Only the first: all three forward, its weight gradient, and the input gradients of the two behind it:
    158 + 48 + 80 + 30. Only the second: 158 + 80 + 30. Only the last: 158 + 30, nothing flows further back;
    its bias alone: 158. The second and the last: 158 + 80 + 2 * 30. All: 3 * 158 less the first one's input
    gradient. The first two only run, and trained: 3 * 128 - 48.
    """
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 6)
    )
    structure = find_groups(module, torch.zeros(2, 3, 2, 2))
    counts = structure.full_counts()

    def macs(*trained, run=None):
        return partial_macs(structure, counts, trained, run)

    assert macs() == forward_macs(structure, counts) == 158
    assert macs("0.weight") == 158 + 48 + 80 + 30
    assert macs("0.bias") == 158 + 80 + 30
    assert macs("1.weight", "1.bias") == 158 + 80 + 30
    assert macs("4.weight") == 158 + 30
    assert macs("4.bias") == 158
    assert macs("1.weight", "4.weight") == 158 + 80 + 60
    assert macs(*structure.parameters) == training_macs(structure, counts) == 3 * 158 - 48
    first_two = ("0.weight", "0.bias", "1.weight", "1.bias")
    assert macs(*first_two, run=first_two) == 3 * 128 - 48
    assert partial_macs(structure, (2, 5), ("1.weight",)) == 24 + 40 + 30 + 40 + 30


def test_freezing_equals_torchs_counter(own_net):
    """FLOPs / 2 of real backward passes in random runs of consecutive parameters, on 2 examples."""
    structure = find_groups(own_net.module, own_net.x)
    module = by_group(own_net.module)
    # `by_group` puts `.conv` into the names of grouped convolutions; the parameters keep their order.
    named = dict(zip(structure.parameters, module.parameters(), strict=True))
    counts, rng = structure.full_counts(), np.random.default_rng(3)
    names = list(structure.parameters)
    for _ in range(2):
        first = int(rng.integers(len(names)))
        trained = names[first : first + 1 + int(rng.integers(len(names)))]
        for name, parameter in named.items():
            parameter.requires_grad_(name in trained)
        with FlopCounterMode(display=False) as counter:
            module(own_net.x[:2]).sum().backward()
        assert counter.get_total_flops() == 2 * 2 * partial_macs(structure, counts, trained), trained


class _Shifted(torch.autograd.Function):
    """2 x + 1, in two operations that autograd does not see."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2 + 1

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


class _Squares(torch.autograd.Function):
    """x times its transpose, (n, c, t) -> (n, c, c), with the two products of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.bmm(x.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient.bmm(x) + gradient.transpose(1, 2).bmm(x)


class Functions(nn.Module):
    """Two rows of 5 numbers; layers 5 -> 4 of each row and 4 -> 3 of the products of the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(_Squares.apply(_Shifted.apply(self.first(x))).flatten(1))


def test_gradients_flow_through_autograd_functions():
    """Forward 2 x 20 + 2 x 2 x 4 + 12 = 68 MACs; `_Squares` costs 2 x 16 = 32 more backward.

    The last layer alone: 12 for its weight. The first alone: 12 for the last one's input, 32, and 40 for its
    weight; all of them 12 more.
    """
    structure = find_groups(Functions(), torch.zeros(2, 2, 5))
    counts = structure.full_counts()

    def macs(*trained):
        return partial_macs(structure, counts, trained)

    assert macs() == forward_macs(structure, counts) == 68
    assert macs("last.weight") == 68 + 12
    assert macs("first.weight") == 68 + 12 + 32 + 40
    assert macs(*structure.parameters) == training_macs(structure, counts) == 68 + 12 + 12 + 32 + 40


def test_gradients_flow_through_operations_in_a_function():
    """Layers 3 -> 4 -> 5 around a function without products: 12 + 20 MACs, and 20 + 12 to train the first."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(_Shifted.apply(self.first(x)))

    structure = find_groups(Two(), torch.zeros(2, 3))
    assert partial_macs(structure, (4,), ["first.weight"]) == 32 + 20 + 12
    assert partial_macs(structure, (2,), ["first.weight"]) == 16 + 10 + 6
