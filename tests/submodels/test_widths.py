"""Widths: what a number of them stands for, and the channels of each."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from toys import toy

from distreal_sim.config.build import build
from distreal_sim.submodels.widths import equally_spaced, of_widths, prefix_masks, width_counts
from distreal_sim.thinning.coupling.groups import find_groups


def test_ceilings_are_exact() -> None:
    """2 * 0.2 + 0.2, a width as a public reproduction makes its tiers, is 0.6000000000000001: of 15 channels
    9 are kept, not 10. 0.3 * 15 = 4.5: 5.
    """
    share = 2 * 0.2 + 0.2
    net = nn.Sequential(nn.Linear(4, 15), nn.ReLU(), nn.Linear(15, 3))
    structure = find_groups(net, torch.zeros(2, 4))
    assert math.ceil(share * 15) == 10
    assert [width_counts(structure, r, "ceil") for r in (share, 0.3, 0.01)] == [(9,), (5,), (1,)]


def test_rounding() -> None:
    """0.3 of 8, 12 and 8 channels are 2.4, 3.6 and 2.4."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU())
    structure = find_groups(net.append(nn.Linear(8, 3)), torch.zeros(2, 4))
    assert width_counts(structure, 0.3, "ceil") == (3, 4, 3)
    assert width_counts(structure, 0.3, "floor") == (2, 3, 2)


def test_floors_are_exact() -> None:
    """0.29 * 100 is 28.999999999999996: 29 of 100 channels are kept, of 0.289 * 100 28."""
    net = nn.Sequential(nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 3))
    structure = find_groups(net, torch.zeros(2, 4))
    assert math.floor(0.29 * 100) == 28
    assert [width_counts(structure, r, "floor") for r in (0.29, 0.289, 0.001)] == [(29,), (28,), (1,)]


def test_every_block_of_a_grouped_convolution_keeps_as_many() -> None:
    """Two blocks of 4 channels: 0.3 of 4 is 1.2, up 2 and down 1 in each; at least one in each."""
    net = nn.Sequential(
        nn.Conv2d(2, 8, 1, groups=2), nn.ReLU(), nn.Conv2d(8, 2, 1, groups=2), nn.Flatten(), nn.Linear(2, 3)
    )
    structure = find_groups(net, torch.zeros(2, 2, 1, 1))
    assert (structure.groups[0].channels, structure.groups[0].blocks) == (8, 2)
    assert [width_counts(structure, 0.3, rounding)[0] for rounding in ("ceil", "floor")] == [4, 2]
    assert width_counts(structure, 0.01, "floor")[0] == 2
    assert width_counts(structure, 1.0, "floor")[0] == 8


def test_a_number_of_widths() -> None:
    """The widest first; a list stands as it is."""
    assert equally_spaced(1) == (1.0,)
    assert equally_spaced(4) == (1.0, 0.75, 0.5, 0.25)
    assert equally_spaced([0.5, 1]) == [0.5, 1]
    for wrong in (0, -1, 257, True, 4.0, "4", None):
        with pytest.raises(ValueError, match="a list of widths, like"):
            equally_spaced(wrong)


def test_a_level_for_each_width() -> None:
    """small_cnn of width 4 on 8x8, in the order of the widths; see test_levels for the costs."""
    levels = of_widths(build(toy()), [0.5, 1.0], "ceil").levels
    assert [level.counts for level in levels] == [(2, 4, 8), (4, 8, 16)]
    assert [level.macs_per_example for level in levels] == [9456, 32736]


def test_the_first_channels_in_every_step() -> None:
    draw = prefix_masks(build(toy()).structure)
    for step, counts in enumerate([(2, 4, 8), (1, 1, 1), (2, 4, 8)]):
        kept = draw(step, counts).kept
        assert [channels.tolist() for channels in kept if channels is not None] == [
            list(range(n)) for n in counts
        ]
