"""FedRolex: windows by hand, and every channel equally often."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from rounds import play, updates_of
from toys import toy

from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods.fedrolex import FedRolex
from distreal_sim.submodels.widths import width_counts
from distreal_sim.thinning.masks import take
from distreal_sim.thinning.structure import Group, Structure

Direction = Literal["up", "down"]


@pytest.fixture(scope="module")
def task() -> Task:
    """Groups of 4, 8 and 16 channels."""
    return build(toy(method={"name": "fedrolex"}))


def kept(task: Task, direction: Direction, j: int, counts: tuple[int, ...]) -> list[set[int]]:
    """The channels of each group after j moves, that is in round j + 1."""
    mask = take(task.structure, FedRolex(direction=direction).orders(task, j + 1), counts)
    return [set(k.tolist()) for k in mask.kept if k is not None]


def test_golden_windows(task: Task) -> None:
    """K = 8, m = 4, j = 6: the paper's window is 6, 7, 0, 1, the official code's 2, 3, 4, 5.

    4 channels of which 2: 6 mod 4 = 2, so 2, 3, and -6 mod 4 = 2 too. 16 of which 8: 6 to 13, and 10 to 1.
    """
    assert kept(task, "up", 6, (2, 4, 8)) == [{2, 3}, {6, 7, 0, 1}, set(range(6, 14))]
    assert kept(task, "down", 6, (2, 4, 8)) == [{2, 3}, {2, 3, 4, 5}, {*range(10, 16), 0, 1}]
    assert (
        kept(task, "up", 0, (2, 4, 8))
        == kept(task, "down", 0, (2, 4, 8))
        == [{0, 1}, set(range(4)), set(range(8))]
    )


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("first", [0, 5, 1000])
def test_in_k_rounds_every_channel_is_kept_m_times(task: Task, direction: Direction, first: int) -> None:
    """16 consecutive rounds, 16 channels of which 5 are kept: each 5 times; of 8 (3 kept), 2 x 3 times."""
    times = [np.zeros(group.channels, int) for group in task.structure.groups]
    for j in range(first, first + 16):
        for total, channels in zip(times, kept(task, direction, j, (1, 3, 5)), strict=True):
            total[list(channels)] += 1
    assert [set(total.tolist()) for total in times] == [{4}, {6}, {5}]


def test_wider_clients_hold_what_narrower_ones_hold(task: Task) -> None:
    for j in range(20):
        narrow, wide = kept(task, "up", j, (1, 3, 5)), kept(task, "up", j, (2, 4, 11))
        assert all(a < b for a, b in zip(narrow, wide, strict=True))


def test_floor_and_ceil() -> None:
    """0.3 of 5, 8 and 10 channels: 1.5, 2.4 and 3 give 1, 2, 3 and 2, 3, 3; at least one channel stays.

    0.3 * 10 is 3 in floating point, 0.2 * 15 is 3.0000000000000004 and 0.29 * 100 is 28.999999999999996:
    whole numbers all the same. Two blocks of 5: 1 or 2 in each.
    """

    def counts(share: float, *groups: tuple[int, int]) -> list[tuple[int, ...]]:
        made = tuple(Group("", channels, "conv", blocks) for channels, blocks in groups)
        structure = Structure(made, {}, (), (), (), {})
        return [width_counts(structure, share, "floor"), width_counts(structure, share, "ceil")]

    assert counts(0.3, (5, 1), (8, 1), (10, 1)) == [(1, 2, 3), (2, 3, 3)]
    assert counts(0.2, (15, 1), (3, 1)) == [(3, 1), (3, 1)]
    assert counts(0.29, (100, 1)) == [(29,), (29,)]
    assert counts(0.3, (10, 2)) == [(2,), (4,)]
    assert counts(1.0, (7, 1), (6, 3)) == [(7, 6), (7, 6)]


def test_untrained_channels_stay_and_the_next_round_moves_on() -> None:
    """All at a quarter of the width: round 1 trains channels 0 and 1 of conv2's 8, round 2 channels 1, 2."""
    steady = {"name": "constant", "level": math.inf}
    states = play(2, profile=steady, method={"name": "fedrolex", "levels": [0.25]}).states
    moved = []
    for before, after in pairwise(states):
        change = after.arrays["conv2.conv.weight"] != before.arrays["conv2.conv.weight"]
        moved.append(
            [np.flatnonzero(change.any(axis=(1, 2, 3))).tolist(), change.any(axis=(0, 2, 3)).tolist()]
        )
    assert moved[0] == [[0, 1], [True, False, False, False]]
    assert moved[1] == [[1, 2], [False, True, False, False]]


@pytest.mark.parametrize("mask_labels", [True, False])
def test_classifier_rows_of_absent_classes_rest(mask_labels: bool) -> None:
    """Two clients with few classes: with label masks the other rows of the classifier keep their bytes,
    although weight decay has moved them on the clients; without, every row moves.
    """
    experiment = toy(
        partition={"name": "shards", "classes_per_client": 2},
        method={"name": "fedrolex", "mask_labels": mask_labels},
        profile={"name": "constant", "level": math.inf},
    )
    task, state, updates = updates_of(experiment, 2)
    labels = np.concatenate([task.data.train.y[task.split[u.facts.client_id]] for u in updates])
    has = np.isin(range(10), labels)
    assert 0 < has.sum() < 10
    merged = experiment.method.merge(task, state, iter(updates)).arrays
    moved = (merged["linear.weight"] != state.arrays["linear.weight"]).any(axis=1)
    assert moved.tolist() == (has.tolist() if mask_labels else [True] * 10)
