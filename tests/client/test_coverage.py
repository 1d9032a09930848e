"""What the coverage of a round weighs and says: counted by hand, on two groups of 4 channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from distreal_sim.client.coverage import Coverage, mean_keep_rate, most_bytes, sent_bytes
from distreal_sim.codecs.plain import Plain
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure


@pytest.fixture(scope="module")
def chain() -> Structure:
    layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    structure = find_groups(layers, torch.zeros(2, 3))
    assert structure.full_counts() == (4, 4)
    return structure


def test_a_byte_that_is_begun_is_sent() -> None:
    assert [Plain().coverage_bytes(n) for n in (0, 1, 7, 8, 9, 16, 17)] == [0, 1, 1, 1, 2, 2, 3]


def test_only_groups_of_which_something_was_dropped_are_told(chain: Structure) -> None:
    """Three steps: 3 x 4 = 12 bits a group, which are 2 bytes. Of the first group no step drops anything."""
    assert sent_bytes(Plain(), chain, [(4, 4), (4, 2), (4, 4)]) == 2
    assert sent_bytes(Plain(), chain, [(3, 4), (4, 2), (4, 4)]) == 4 == most_bytes(Plain(), chain, 3)
    assert sent_bytes(Plain(), chain, [(4, 4)] * 3) == 0
    assert sent_bytes(Plain(), chain, []) == 0


def test_the_widest_part_is_what_any_step_kept(chain: Structure) -> None:
    """Channels 0 and 1, then 1 and 2: three of the first group, and all of the second."""
    first = [Mask((np.array([0, 1]), None)), Mask((np.array([1, 2]), None))]
    coverage = Coverage.of(chain, first, [5, 3], [50, 20])
    assert coverage.widest(chain).tolist() == [3, 4]
    assert coverage.kept[1] is None
    assert coverage.kept[0].astype(int).tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert (coverage.n_steps, coverage.n_examples) == (2, 8)
    assert Coverage.of(chain, [None, *first], [1, 5, 3], [9, 50, 20]).widest(chain).tolist() == [4, 4]


def test_the_mean_keep_rate(chain: Structure) -> None:
    """(1/2 + 1) / 2 = 3/4 in one step, (1/4 + 1/4) / 2 = 1/4 in the other: 1/2."""
    assert mean_keep_rate(chain, [(2, 4), (1, 1)]) == 0.5
    assert math.isnan(mean_keep_rate(chain, []))
