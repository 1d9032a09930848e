"""DISTREAL with distillation, and with ordered and rolling filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rounds import play, updates_of
from toys import toy

from distreal_sim.client.batches import batch_sizes
from distreal_sim.submodels.prefixes import widest_trained
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import kept_elements

UNLIMITED = {"name": "constant", "level": math.inf}


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


def test_each_way_to_select_filters_gives_another_model() -> None:
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
