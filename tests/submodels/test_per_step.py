"""Sub-networks of a step: the orders of its filters, and pairs of teacher and pupil."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from toys import toy

from distreal_sim.client.schedule import Moment
from distreal_sim.config.build import build
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.per_step import pick_pair, step_orders
from distreal_sim.thinning.masks import take

FRONT = Front(tuple(Entry((), (n, m), macs, macs / 64) for n, m, macs in (
    (2, 2, 4), (4, 2, 8), (2, 6, 12), (8, 8, 64),
)), "", (), {})  # fmt: skip
"""Two groups; the second entry keeps more of the first than the third does. MACs: products."""


def macs(counts: tuple[int, ...]) -> int:
    return math.prod(counts)


@pytest.mark.parametrize(
    ("budget", "u", "pair"),
    [
        (1000, 0.0, ((8, 8), (2, 2))),
        (1000, 0.34, ((8, 8), (4, 2))),
        (1000, 0.99, ((8, 8), (2, 6))),
        (76, 0.99, ((8, 8), (2, 6))),  # 64 + 12 just fits
        (75, 0.99, ((2, 6), (2, 2))),  # 12 + 4: floor(0.99 * 2) = 1, (4, 2) cut to (2, 2)
        (75, 0.5, ((8, 8), (4, 2))),  # floor(0.5 * 3) = 1: 64 + 8 fits
        (16, 0.99, ((2, 6), (2, 2))),
        (15, 0.99, ((4, 2), (2, 2))),  # 12 + 4 does not fit, 8 + 4 does
        (11, 0.0, ((2, 2), None)),  # 8 + 4 does not fit: the cheapest alone
        (1, 0.5, ((2, 2), None)),  # nothing fits
    ],
)
def test_pairs_by_hand(budget: int, u: float, pair: Any) -> None:
    """MACs per example: capacity 2 for 50 s over 100 examples is 1, so capacity 2 * budget.

    The teacher is the last entry i for which its MACs and those of entry floor(u i), cut to it, fit.
    """
    moment = Moment(0.0, 50.0, 2.0 * budget, [60, 40])
    assert pick_pair(FRONT, moment, u, macs) == pair


def test_rolling_windows_are_the_rounds_not_the_clients() -> None:
    """Groups of 4, 8 and 16 filters in round 7 (6 before it): windows from 6 mod 4 = 2, 6 and 6 on."""
    task = build(toy(method={"name": "distreal", "filters": "rolling"}))
    for client in range(3):
        orders = step_orders(task.structure, np.random.default_rng(client), "rolling", "batch", 7)
        for step in range(2):
            mask = take(task.structure, orders(step), (3, 4, 12))
            assert [k.tolist() for k in mask.kept if k is not None] == [
                [0, 2, 3],
                [0, 1, 6, 7],
                [0, 1, *range(6, 16)],
            ]


def test_masks_are_fresh_in_every_step_and_nested_within_a_period() -> None:
    """batch: consecutive masks differ. 2: steps 0 and 1 agree, 2 differs. round: all agree."""
    task = build(toy())
    counts = tuple(g.channels // 2 for g in task.structure.groups)

    def kept(resample: Any) -> list[list[int]]:
        orders = step_orders(task.structure, np.random.default_rng(5), "random", resample, 1)
        masks = [take(task.structure, orders(step), counts) for step in range(4)]
        return [np.concatenate(mask.kept).tolist() for mask in masks]

    batch, two, whole = kept("batch"), kept(2), kept("round")
    assert len({tuple(k) for k in batch}) == 4
    assert two[0] == two[1] != two[2] == two[3]
    assert whole[0] == whole[1] == whole[2] == whole[3]
