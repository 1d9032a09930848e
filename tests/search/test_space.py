"""Which dropout vectors are the same, which are allowed, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.base.plugins import load
from distreal_sim.models import Model
from distreal_sim.search.space import Pair, Space
from distreal_sim.thinning.coupling.groups import find_groups

from .toy_search import toy_space


def test_costs_by_hand() -> None:
    """16 positions; the first layer costs its MACs twice (its input needs no gradient), others three times.

    Keeping a of 4 and b of 10: 2 * 16 a + 3 * 16 a b + 3 * 2 b. Full: 128 + 1920 + 60 = 2108; a = 2, b = 1:
    64 + 96 + 6 = 166.
    """
    space = toy_space(4, 10)
    assert space.counts(np.array([0.5, 0.9])) == (2, 1)
    assert space.relative_macs((2, 1)) == pytest.approx(166 / 2108, abs=1e-15)
    assert space.relative_macs((4, 10)) == 1.0


@given(st.lists(st.floats(0, 0.9), min_size=3, max_size=3))
def test_a_vector_stands_for_its_candidate(rates: list[float]) -> None:
    """Snapping keeps the counts, and vectors of equal counts become one; rates stay within [0, d_max]."""
    space = toy_space(4, 14, 33)
    snapped = space.snap(np.array([rates]))[0]
    assert space.counts(snapped) == space.counts(np.array(rates))
    assert (snapped == space.rates(space.counts(np.array(rates)))).all()
    assert (space.snap(snapped[None]) == snapped).all()
    assert (snapped >= 0).all()
    assert (snapped <= 0.9).all()


def test_uniform_vectors() -> None:
    """Rates 0, 0.3, 0.6, 0.9 of 10 and 10 channels; asked for more than there are, each is there once."""
    assert toy_space(10, 10).uniform(4) == [(10, 10), (7, 7), (4, 4), (1, 1)]
    assert toy_space(10, 10).uniform(500) == [(n, n) for n in range(10, 0, -1)]
    assert toy_space(10, 10).uniform(1) == [(10, 10)]


def test_the_smallest_allowed() -> None:
    """With a = b = n of 10 and 10: 32 n + 48 n^2 + 6 n, full 5180; n = 5: 1390, 26.8 %; n = 4: 17.8 %."""
    space = toy_space(10, 10, smallest=0.25)
    assert space.uniform(500) == [(n, n) for n in range(10, 4, -1)]
    assert space.allows((5, 5))
    assert not space.allows((4, 4))


def resnet20() -> Space:
    module = load(Model, "resnet20")().build((3, 32, 32), 10)
    structure = find_groups(module, torch.zeros(2, 3, 32, 32))
    return Space(structure, structure.thinnable(False), 0.9)


def test_residual_streams_by_name() -> None:
    """ResNet-20 adds up in the first convolution's channels and in those of each later stage; the nine others
    are inside of blocks. A chain has no streams.
    """
    space = resnet20()
    names = [space.structure.groups[g].name for g in space.streams()]
    assert names == ["conv", "stages.1.0.conv2", "stages.2.0.conv2"]
    assert len(space.thinnable) == 12
    assert toy_space(4, 10).streams() == ()
    assert toy_space(4, 10).inner(4) == []


def test_inner_filters_only() -> None:
    """Rates 0.3, 0.6, 0.9 inside, so that 16 * 0.7 = 11.2 channels are kept, ...; streams are whole."""
    space = resnet20()
    names = {g: space.structure.groups[g].name for g in space.thinnable}
    inside = {"stages.0": [11, 6, 2], "stages.1": [22, 13, 3], "stages.2": [45, 26, 6]}
    found = space.inner(3)
    assert len(found) == 3
    for i, counts in enumerate(found):
        for g, name in names.items():
            kept = inside[name[:8]][i] if name.endswith("conv1") else space.structure.groups[g].channels
            assert counts[g] == kept, name
    assert space.inner(0) == []
    small = replace(space, smallest=space.relative_macs(found[1]))
    assert small.inner(3) == found[:2]


def test_depthwise_convolutions_make_no_stream() -> None:
    """MobileNetV2 adds up between its narrow bottlenecks, not in the wide layers inside of blocks."""
    module = load(Model, "mobilenet_v2")().build((3, 32, 32), 10)
    structure = find_groups(module, torch.zeros(2, 3, 32, 32))
    space = Space(structure, structure.thinnable(False), 0.9)
    assert all("project" in structure.groups[g].name for g in space.streams())


def test_the_cost_of_fewer_steps() -> None:
    assert toy_space(4, 10).cost(Pair((2, 1), 0.25)) == pytest.approx(166 / 2108 / 4, abs=1e-15)
