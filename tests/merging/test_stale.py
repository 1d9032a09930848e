"""Stale updates in a merge, and steps of part of the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rounds import updates_of
from worlds import world

from distreal_sim.client.messages import Arrays, State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.merging.stale import deviations, moved, towards, trained_shares
from distreal_sim.server.coordination.fedasync import FedAsync
from distreal_sim.server.coordination.fedbuff import FedBuff

WEIGHT, BIAS = "linear.weight", "linear.bias"


@pytest.fixture(scope="module")
def made() -> tuple[Task, State, list[Update]]:
    return updates_of(world([1, 1], {"name": "rounds"}), 2)


def filled(state: State, weight: float, bias: float) -> Arrays:
    """The parameters with one value each."""
    values = {WEIGHT: weight, BIAS: bias}
    return {name: np.full_like(array, values[name]) for name, array in state.arrays.items()}


def update(like: Update, arrays: Arrays, n_examples: int, weight: float) -> Update:
    facts = replace(like.facts, n_examples=n_examples)
    return replace(like, arrays=arrays, facts=facts, weight=weight)


def test_changes_of_parts_weighted_by_examples_and_staleness(made: Any) -> None:
    """A (10 examples, fresh) changes both parameters by 1; B (20 examples, staleness 3) the first one by 3.

    B weighs 20 (1 + 3)^-1/2 = 10 as well, so the first moves by (10 + 30) / 20 = 2 and the second by 1. With
    FedBuff's mean weight of (1 + 1/2) / 2 it is 1.5 and 0.75; with normalise 2 and 1. The present model is
    (5, 7), B was sent (-1, 4).
    """
    task, state, (one, other) = made
    present, sent = filled(state, 5, 7), filled(state, -1, 4)
    rules = FedBuff()
    a = update(one, filled(state, 6, 8), 10, rules.weight(0))
    b = update(other, {WEIGHT: filled(state, 2, 0)[WEIGHT]}, 20, rules.weight(3))
    both = [moved(a, present, present), moved(b, sent, present)]
    merged = weighted_average(task.structure, present, iter(both))
    assert (merged[WEIGHT] == 7).all()
    assert (merged[BIAS] == 8).all()
    half = towards(present, merged, rules.rate([a.weight, b.weight]))
    assert (half[WEIGHT] == 6.5).all()
    assert (half[BIAS] == 7.75).all()
    assert FedBuff(normalise=True).rate([a.weight, b.weight]) == 1
    assert FedBuff(server_lr=2).rate([1.0, 0.5]) == 1.5


def test_all_of_a_buffer_count_where_some_trained(made: Any) -> None:
    """A changes both parameters by 1, B the first one by 3, with staleness 3, of examples 10 and 20.

    Both weigh 10, so of all weights A has half: the second parameter moves by half of 1. Where each client
    counts the same, they weigh 1 and 1/2: (1 + 3/2) / 2 = 1.25 and 1/2, the sums over K = 2.
    """
    task, state, (one, other) = made
    present, rules = filled(state, 5, 7), FedBuff(buffer_merge="dilute")
    a = update(one, filled(state, 6, 8), 10, rules.weight(0))
    b = update(other, {WEIGHT: filled(state, 8, 0)[WEIGHT]}, 20, rules.weight(3))
    for weighs_by, rate, moves in (("examples", 1.0, (2, 0.5)), ("clients", 0.75, (1.25, 0.5))):
        merged = weighted_average(task.structure, present, iter([a, b]), weighs_by)
        shares = trained_shares(task.structure, present, [a, b], weighs_by)
        after = towards(present, merged, rate, shares)
        assert after[WEIGHT] == pytest.approx(5 + moves[0])
        assert after[BIAS] == pytest.approx(7 + moves[1])
    assert rules.rate([a.weight, b.weight]) == 0.75


def test_deviations_from_the_fresh_updates(made: Any) -> None:
    """Changes of the second parameter: fresh 1 and 3, mean 2; stale 5 and 0, the latter by a client that
    trained another part. Squared distances 9 and 4. REFL's own |mean with it - mean|^2 / |mean|^2 is 1 / 4
    and (4/3 - 2)^2 / 4 = 1 / 9.

    The first parameter, of 640 values, is changed by nobody.
    """
    _, state, (one, _) = made
    present = filled(state, 5, 7)
    changes = [1, 5, 3]
    updates = [update(one, filled(state, 5, 7 + change), 10, 1.0) for change in changes]
    updates.append(update(one, {WEIGHT: present[WEIGHT]}, 10, 1.0))
    found = deviations(updates, [True, False, True, False], present)
    assert found == pytest.approx([0, 1, 0, 4 / 9])
    mean = np.mean([1, 3])
    own = [(np.mean([1, 3, change]) - mean) ** 2 / mean**2 for change in (5, 0)]
    assert own == pytest.approx([1 / 4, 1 / 9])
    assert found[3] / found[1] == pytest.approx(own[1] / own[0])
    assert deviations(updates[:1], [True], present) == [0]
    assert deviations(updates[1:2], [False], present) == [1]


def test_fedasync_moves_by_alpha_times_the_weight(made: Any) -> None:
    """alpha 0.6, staleness 3: from 0 by 0.6 / 2 = 0.3 towards 1; what nobody trained keeps its bytes."""
    task, state, (one, _) = made
    rules = FedAsync()
    present = filled(state, 0, -0.0)
    only = update(one, {WEIGHT: filled(state, 1, 0)[WEIGHT]}, 9, rules.weight(3))
    merged = weighted_average(task.structure, present, iter([only]))
    after = towards(present, merged, rules.rate([only.weight]))
    assert after[WEIGHT] == pytest.approx(0.3)
    assert after[WEIGHT].dtype == np.float32
    assert after[BIAS].tobytes() == present[BIAS].tobytes()
    assert towards(present, merged, 1) is merged


def test_what_a_client_left_as_it_was_is_the_present_value(made: Any) -> None:
    """0.1 + (1e8 - 0.1) is not 1e8 in floating point; a merge that looks at changes must see none."""
    _, state, (one, _) = made
    present, sent = filled(state, 1e8, 1e8), filled(state, 0.1, 0.1)
    same = moved(update(one, sent, 1, 1.0), sent, present)
    assert (same.arrays[WEIGHT] == present[WEIGHT]).all()


@pytest.mark.parametrize("weight", ["examples", "clients", "trained_examples", "macs"])
def test_every_weight_is_multiplied(weight: Any, made: Any) -> None:
    """Two clients of equal work: one of half the weight counts a third."""
    task, state, (one, other) = made
    a, b = update(one, filled(state, 0, 0), 16, 1.0), update(other, filled(state, 3, 3), 16, 0.5)
    merged = weighted_average(task.structure, state.arrays, iter([a, b]), weight)
    assert merged[WEIGHT] == pytest.approx(1)
