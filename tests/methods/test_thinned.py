"""What DISTREAL's rounds are made of: orders, pairs of teacher and pupil, and ordered DISTREAL itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rounds import play, updates_of
from toys import toy

from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.schedule import Moment
from distreal_sim.config.build import build
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.per_step import pick_pair, step_orders
from distreal_sim.submodels.prefixes import widest_trained
from distreal_sim.thinning.masks import first_mask, take
from distreal_sim.thinning.structure import kept_elements

UNLIMITED = {"name": "constant", "level": math.inf}

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


@pytest.mark.parametrize("filters", ["random", "ordered"])
def test_both_passes_are_paid_for_and_fit(filters: str) -> None:
    """Constant capacity: each client is done in time, and is charged for the pairs that its draws gave."""
    experiment = toy(
        method={"name": "distreal", "distil": True, "filters": filters, "front": {"uniform": 4}},
        profile={"name": "constant", "level": 0.5},
    )
    task, _, updates = updates_of(experiment)
    assert task.front is not None
    for update in updates:
        client = update.facts.client_id
        assert update.facts.status == "completed"
        assert update.facts.macs <= task.devices.capacity(client, 0.0)(0.0) * task.deadline_s * (1 + 1e-9)
        kept = [np.full(update.n_steps, g.channels) if k is None else k.sum(axis=1)
                for g, k in zip(task.structure.groups, update.coverage.kept, strict=True)]  # fmt: skip
        teachers = [
            task.macs_per_example(tuple(int(n) for n in counts)) for counts in zip(*kept, strict=True)
        ]
        sizes = batch_sizes(len(task.split[client]), task.local)
        alone = sum(n * m for n, m in zip(sizes, teachers, strict=True))
        assert alone < update.facts.macs < 2 * alone


def test_distillation_changes_the_model_and_unlimited_teachers_are_full() -> None:
    plain = play(1, method={"name": "distreal"}, profile=UNLIMITED)
    distilled = play(1, method={"name": "distreal", "distil": True}, profile=UNLIMITED)
    assert plain.model != distilled.model
    assert {row.mean_keep_rate for row in distilled.clients} == {1.0}


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
    models = {f: play(2, method={"name": "distreal", "filters": f}).model["conv3.conv.weight"]
              for f in ("random", "ordered", "rolling")}  # fmt: skip
    assert len(set(models.values())) == 3


def test_ordered_filters_at_unlimited_capacity_is_fedavg_bit_for_bit() -> None:
    ordered = play(3, method={"name": "distreal", "filters": "ordered"}, profile=UNLIMITED)
    assert ordered.model == play(3, method={"name": "fedavg"}, profile=UNLIMITED).model


def test_nothing_beyond_the_widest_sub_network_moves() -> None:
    """Level 0.3, momentum and weight decay: filters that nobody's vector reached keep their bytes for three
    rounds, and in the last of the widest some byte has moved.
    """
    played = play(
        3, method={"name": "distreal", "filters": "ordered"}, profile={"name": "constant", "level": 0.3}
    )
    widest = widest_trained(played.states[-1])
    assert widest is not None
    counts = widest.counts
    assert all(n < g.channels for n, g in zip(counts, played.task.structure.groups, strict=True))
    before, after = played.states[0].arrays, played.states[-1].arrays
    for name, layout in played.task.structure.tensors.items():
        if name not in before:
            continue
        beyond = np.ones(layout.shape, bool)
        beyond[kept_elements(layout, first_mask(played.task.structure, counts).kept)] = False
        assert before[name][beyond].tobytes() == after[name][beyond].tobytes(), name
    last = np.array([n - 1 for n in counts])
    assert after["conv1.conv.weight"][last[0]].tobytes() != before["conv1.conv.weight"][last[0]].tobytes()
