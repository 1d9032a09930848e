"""Keep counts by hand, masks by their distribution."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.masks import draw_orders, keep_counts, sample_mask, take
from distreal_sim.thinning.structure import Structure


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Groups of 10, 12 (3 blocks), 6 (3 blocks) and 2 filters and of 15 hidden units, in this order."""
    module = nn.Sequential(
        nn.Conv2d(3, 10, 1),
        nn.Conv2d(10, 12, 1),
        nn.Sequential(nn.Conv2d(12, 6, 1, groups=3), nn.Conv2d(6, 2, 1)),
        nn.Flatten(),
        nn.Linear(2, 15),
        nn.Linear(15, 4),
    )
    return find_groups(module, torch.zeros(2, 3, 1, 1))


def test_groups_in_order_with_blocks_and_kinds(structure):
    found = [(g.name, g.channels, g.kind, g.blocks) for g in structure.groups]
    assert found == [
        ("0", 10, "conv", 1),
        ("1", 12, "conv", 3),
        ("2.0", 6, "conv", 3),
        ("2.1", 2, "conv", 1),
        ("4", 15, "linear", 1),
    ]
    assert structure.thinnable(drop_linear=False) == (0, 1, 2, 3)
    assert structure.thinnable(drop_linear=True) == (0, 1, 2, 3, 4)


def test_groups_that_must_keep_everything_have_no_rate():
    """A convolution in three groups with one filter each, and one with a single filter."""
    layers = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 3, 1, groups=3), nn.Conv2d(3, 1, 1), nn.Flatten()
    found = find_groups(nn.Sequential(*layers, nn.Linear(1, 4)), torch.zeros(2, 3, 1, 1))
    assert [(g.channels, g.blocks) for g in found.groups] == [(6, 3), (3, 3), (1, 1)]
    assert found.thinnable(drop_linear=True) == (0,)


def test_keep_counts_by_hand(structure):
    """max(1, floor((1 - d) C + 0.5 + 1e-9)), by block of 4 and of 2 channels in groups 1 and 2.

    d = 0.25 of 10: 7.5 + 0.5 = 8. d = 0.4 of 4 a block: 2.4 + 0.5 -> 2, three blocks: 6. d = 0.5 of 2:
    1.5 -> 1, so 3. d = 0.99 of 2: 0.52 -> max(1, 0) = 1. d = 0.9 of 15: 1.5 + 0.5 = 2
    (in binary 1.4999999999999996, hence the 1e-9).
    """
    assert keep_counts(structure, [0.25, 0.4, 0.5, 0.99, 0.9], (0, 1, 2, 3, 4)) == (8, 6, 3, 1, 2)
    assert keep_counts(structure, [0.5], (4,)) == (10, 12, 6, 2, 8)
    assert keep_counts(structure, [], ()) == structure.full_counts()


@pytest.mark.parametrize(
    ("rates", "message"), [([0.5], "needs 2 rates"), ([0.1, 1.0], "must be in"), ([-0.1, 0], "-0.1")]
)
def test_bad_vectors(structure, rates, message):
    with pytest.raises(InputError, match=message):
        keep_counts(structure, rates, (0, 1))


def test_masks_are_uniform_sorted_and_blockwise(structure):
    """Over 4000 draws each channel is kept with its probability, within 5 standard deviations."""
    counts, rng, n = (7, 6, 3, 2, 1), np.random.default_rng(10), 4000
    totals = [np.zeros(g.channels) for g in structure.groups]
    for _ in range(n):
        mask = sample_mask(structure, counts, rng)
        assert mask.kept[3] is None
        assert mask.counts(structure) == counts
        assert not mask.is_full
        for total, kept, group in zip(totals, mask.kept, structure.groups, strict=True):
            if kept is not None:
                total[kept] += 1
                assert (np.diff(kept) > 0).all()
                per_block = np.bincount(kept // (group.channels // group.blocks), minlength=group.blocks)
                assert len(set(per_block)) == 1
    for total, count, group in zip(totals, counts, structure.groups, strict=True):
        p = count / group.channels
        if count < group.channels:
            assert np.abs(total / n - p).max() < 5 * np.sqrt(p * (1 - p) / n)


def test_ordered_masks_are_prefixes_and_draw_nothing(structure):
    rng = np.random.default_rng(11)
    mask = sample_mask(structure, (3, 6, 3, 2, 15), rng, "ordered")
    assert [None if k is None else k.tolist() for k in mask.kept] == [
        [0, 1, 2],
        [0, 1, 4, 5, 8, 9],
        [0, 2, 4],
        None,
        None,
    ]
    assert rng.integers(2**60) == np.random.default_rng(11).integers(2**60)


def test_a_groups_mask_depends_on_no_other_count(structure):
    """Every group draws, whatever it keeps: narrowing or widening one leaves the others' orders alone.

    With the generator's first permutation of 10 channels group 0 keeps its first 7.
    """
    a = sample_mask(structure, (7, 12, 6, 2, 15), np.random.default_rng(12))
    b = sample_mask(structure, (7, 3, 3, 1, 4), np.random.default_rng(12))
    c = sample_mask(structure, (10, 6, 3, 1, 4), np.random.default_rng(12))
    np.testing.assert_array_equal(a.kept[0], np.sort(np.random.default_rng(12).permutation(10)[:7]))
    np.testing.assert_array_equal(a.kept[0], b.kept[0])
    for one, other in zip(b.kept[2:], c.kept[2:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert sample_mask(structure, structure.full_counts(), np.random.default_rng(0)).is_full


def test_rolling_windows_go_round_in_every_block(structure):
    """Windows of 7 of 10 (from 6: 6, 7, 8, 9, 0, 1, 2), 2 of 4 in 3 blocks (6 mod 4 = 2), 1 of 2 in 3."""
    rng = np.random.default_rng(13)
    orders = draw_orders(structure, rng, "rolling", 6)
    mask = take(structure, orders, (7, 6, 3, 2, 15))
    assert [None if k is None else k.tolist() for k in mask.kept] == [
        [0, 1, 2, 6, 7, 8, 9],
        [2, 3, 6, 7, 10, 11],
        [0, 2, 4],
        None,
        None,
    ]
    assert rng.integers(2**60) == np.random.default_rng(13).integers(2**60)


def test_masks_of_one_order_are_nested(structure):
    """What a narrower step keeps, a wider one keeps too."""
    for select in ("random", "ordered", "rolling"):
        orders = draw_orders(structure, np.random.default_rng(14), select, 3)
        narrow, wide = take(structure, orders, (3, 3, 3, 1, 4)), take(structure, orders, (8, 9, 3, 1, 9))
        assert all(set(a) <= set(b) for a, b in zip(narrow.kept, wide.kept, strict=True))


def test_structure_can_be_pickled(structure):
    again = pickle.loads(pickle.dumps(structure))
    assert (again.groups, again.tensors, again.layers) == (
        structure.groups,
        structure.tensors,
        structure.layers,
    )
