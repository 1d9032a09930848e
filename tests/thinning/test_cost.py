"""Closed-form costs against torch's own counter and against hand counts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.cost import forward_macs, n_parameters, training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.shrink import shrink


class ByGroup(nn.Module):
    """A grouped convolution as one dense convolution a group, whose backward the counter counts right."""

    def __init__(self, conv: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        biases = [None] * conv.groups if conv.bias is None else conv.bias.chunk(conv.groups)
        parts = zip(x.chunk(conv.groups, 1), conv.weight.chunk(conv.groups), biases, strict=True)
        function = F.conv1d if isinstance(conv, nn.Conv1d) else F.conv2d
        return torch.cat([function(a, w, b, conv.stride, conv.padding) for a, w, b in parts], 1)


def by_group(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for name, part in list(module.named_modules()):
        if getattr(part, "groups", 1) > 1:
            parent, _, key = name.rpartition(".")
            setattr(module.get_submodule(parent), key, ByGroup(part))
    return module


def test_counts_equal_torchs_counter(coupled):
    """FLOPs / 2 of a physically smaller network on 2 examples are 2 x our MACs, forward and backward."""
    structure = find_groups(coupled.module, coupled.x)
    every = structure.thinnable(drop_linear=True)
    rng = np.random.default_rng(5)
    for rates in (np.zeros(len(every)), rng.uniform(0, 0.95, len(every))):
        counts = keep_counts(structure, rates, every)
        small = shrink(coupled.module, structure, counts)
        assert n_parameters(structure, counts) == sum(p.numel() for p in small.parameters())
        counted = by_group(small)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
            out = counted(coupled.x[:2])
        assert forward.get_total_flops() == 2 * 2 * forward_macs(structure, counts)
        with FlopCounterMode(display=False) as backward:
            out.sum().backward()
        rest = training_macs(structure, counts) - forward_macs(structure, counts)
        assert backward.get_total_flops() == 2 * 2 * rest


def test_counts_by_hand():
    """Conv 3 -> 4 of 3x3 on 8x8 (padding 1), pool to 4x4, linear 64 -> 5; 2 of 4 filters kept.

    Forward, full: 9 * 3 * 4 * 64 + 64 * 5 = 6912 + 320 = 7232; kept: 3456 + 32 * 5 = 3616.
    Training: the convolution twice (its input needs no gradient), the linear layer three times:
    2 * 3456 + 3 * 160 = 7392. Parameters kept: 2 * 27 + 2 + 160 + 5 = 221.
    """
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5)
    )
    structure = find_groups(module, torch.zeros(2, 3, 8, 8))
    assert [(g.name, g.channels, g.kind, g.blocks) for g in structure.groups] == [("0", 4, "conv", 1)]
    assert forward_macs(structure, (4,)) == 7232
    assert forward_macs(structure, (2,)) == 3616
    assert training_macs(structure, (2,)) == 7392
    assert n_parameters(structure, (2,)) == 221


def test_frozen_weight_costs_no_gradient():
    """Conv frozen: its weight and its input need no gradient; linear: forward and weight gradient only."""
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 5))
    module[0].requires_grad_(False)
    structure = find_groups(module, torch.zeros(2, 3, 1, 1))
    assert training_macs(structure, (4,)) == 12 + 2 * 20


def test_shrunk_network_has_the_structure_of_its_counts(own_net):
    """Finding the groups of the small network again gives its counts as full widths."""
    structure = find_groups(own_net.module, own_net.x)
    every = structure.thinnable(drop_linear=True)
    counts = keep_counts(structure, [0.5] * len(every), every)
    small = shrink(own_net.module, structure, counts)
    again = find_groups(small, own_net.x)
    assert again.full_counts() == counts
    assert forward_macs(again, counts) == forward_macs(structure, counts)
    for part in small.modules():
        if isinstance(part, nn.Conv2d):
            assert (part.out_channels, part.in_channels // part.groups) == tuple(part.weight.shape[:2])
        if isinstance(part, nn.Linear):
            assert (part.out_features, part.in_features) == tuple(part.weight.shape)
        if isinstance(part, nn.BatchNorm2d):
            assert part.num_features == len(part.weight) == len(part.running_mean)


def test_shrink_refuses_impossible_counts(own_net):
    from distreal_sim.base.errors import InputError

    structure = find_groups(own_net.module, own_net.x)
    counts = structure.full_counts()
    with pytest.raises(
        InputError, match=rf"'{structure.groups[0].name}' cannot have 0 channels; allowed are 1 to"
    ):
        shrink(own_net.module, structure, (0, *counts[1:]))
