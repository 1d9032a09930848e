"""FjORD: FedAvg where it must be, widths drawn within the budget, nothing moved beyond them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rounds import ROUND, play, updates_of
from toys import toy

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.client import do
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Job, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods.fjord import Fjord, drawn
from distreal_sim.simulation.rounds import start
from distreal_sim.submodels.prefixes import widest_trained
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.widths import width_counts
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import kept_elements

UNLIMITED = {"name": "constant", "level": math.inf}
DECAYING = {"epochs": 2, "batch_size": 8, "lr": 0.1}
DECAYING["optimizer"] = {"momentum": 0.9, "weight_decay": 0.1}


def outside(task: Task, update: Update, name: str, counts: tuple[int, ...]) -> np.ndarray:
    """The entries of a parameter beyond the first `counts` channels."""
    array = update.arrays[name]
    beyond = np.ones(array.shape, bool)
    beyond[kept_elements(task.structure.tensors[name], first_mask(task.structure, counts).kept)] = False
    return array[beyond]


def held_counts(task: Task, update: Update) -> tuple[int, ...]:
    """(G,) channels that the update says its client holds."""
    pairs = zip(task.structure.groups, update.coverage.kept, strict=True)
    return tuple(g.channels if kept is None else int(kept[0].sum()) for g, kept in pairs)


@pytest.mark.parametrize("partition", [{"name": "iid"}, {"name": "dirichlet", "alpha": 1.0}])
def test_width_1_alone_is_fedavg_bit_for_bit(partition: dict[str, Any]) -> None:
    """Momentum and weight decay on, three rounds; both average by examples, so sizes need not be equal."""
    options = {"profile": UNLIMITED, "partition": partition}
    fjord = play(3, **options, method={"name": "fjord", "widths": [1.0]})
    assert fjord.model == play(3, **options, method={"name": "fedavg"}).model


def test_widths_are_uniform_up_to_the_largest() -> None:
    """4,000 draws over 4 of 5 widths: 1,000 each within 5 standard deviations (27.4), the fifth never."""
    task = build(toy(method={"name": "fjord"}))
    levels = Fjord().all_levels(task)
    assert [level.counts for level in levels] == [(1, 2, 4), (2, 4, 7), (3, 5, 10), (4, 7, 13), (4, 8, 16)]
    steps = drawn(levels, 3, np.random.default_rng(1).random(4000))
    times = [sum(step is level for step in steps) for level in levels]
    assert times[4] == 0
    assert all(abs(n - 1000) < 5 * math.sqrt(4000 * 0.25 * 0.75) for n in times[:4])


@pytest.mark.parametrize("distil", [False, True])
@pytest.mark.parametrize("level", [0.15, 0.4, 0.9])
def test_the_largest_width_is_that_whose_drawn_work_fits(distil: bool, level: float) -> None:
    """At constant capacity everybody is done in time, and with the next width nobody would have been.

    The work is recomputed from the client's own draws: at index i a step takes the floor(u (i + 1))-th width.
    """
    experiment = toy(method={"name": "fjord", "distil": distil}, profile={"name": "constant", "level": level})
    task, _, updates = updates_of(experiment)
    levels = Fjord().all_levels(task)
    n_narrower = 0
    for update in updates:
        client = update.facts.client_id
        sizes = batch_sizes(len(task.split[client]), task.local)
        draws = Rngs(task.seed, (1, client))("widths").random(len(sizes))
        work = []
        for i, top in enumerate(levels):
            once = [levels[int(u * (i + 1))].macs_per_example for u in draws]
            work.append(
                sum(n * (m + distil * top.macs_per_example) for n, m in zip(sizes, once, strict=True))
            )
        budget = task.devices.capacity(client, 0.0)(0.0) * task.deadline_s
        if not update.is_merged:
            assert work[0] > budget
            assert update.facts.download_bytes == 0
            continue
        index = [level.counts for level in levels].index(held_counts(task, update))
        assert update.facts.status == "completed"
        assert update.facts.macs == work[index] <= budget * (1 + 1e-9)
        assert index == 4 or work[index + 1] > budget
        n_narrower += index < 4
        assert update.facts.download_bytes == update.facts.upload_bytes == levels[index].traffic.upload_bytes
    assert n_narrower


@pytest.mark.parametrize("distil", [False, True])
def test_nothing_beyond_the_largest_width_moves(distil: bool) -> None:
    """Weight decay 0.1 and momentum 0.9: what a client does not hold comes back as it was sent, to the bit,
    and what no client of a round holds keeps its bytes in the merge."""
    experiment = toy(
        method={"name": "fjord", "distil": distil},
        profile={"name": "constant", "level": 0.3},
        local=DECAYING,
    )
    task, state, updates = updates_of(experiment)
    counting = [u for u in updates if u.is_merged]
    widest = np.max([held_counts(task, u) for u in counting], axis=0)
    assert tuple(widest) != task.structure.full_counts()
    merged = experiment.method.merge(task, state, ROUND, iter(counting))
    assert widest_trained(merged) == SubModel(tuple(widest))
    for update in counting:
        counts = held_counts(task, update)
        for name in update.arrays:
            sent = replace(update, arrays=state.arrays)
            assert (
                outside(task, update, name, counts).tobytes() == outside(task, sent, name, counts).tobytes()
            )
            after = replace(update, arrays=merged.arrays)
            assert (
                outside(task, after, name, tuple(widest)).tobytes()
                == outside(task, sent, name, tuple(widest)).tobytes()
            )
            assert update.arrays[name].tobytes() != state.arrays[name].tobytes()


def test_weight_decay_spares_the_units_that_a_step_left_out() -> None:
    """In the FjORD code of Flower's baselines weight decay shrinks units beyond the step's width: their
    gradient is 0, but the optimiser does not know that they were left out.

    One step each, weight decay 0.1, p_max = 1: clients that drew 1/2 moved nothing beyond it.
    """
    experiment = toy(
        method={"name": "fjord", "widths": [0.5, 1.0]},
        profile=UNLIMITED,
        local={"steps": 1, "batch_size": 8, "lr": 0.1, "optimizer": {"weight_decay": 0.1}},
    )
    task, state, updates = updates_of(experiment)
    half = width_counts(task.structure, 0.5, "ceil")
    narrow = {u.facts.client_id for u in updates if u.facts.mean_keep_rate < 1}
    assert 0 < len(narrow) < len(updates)
    for update in updates:
        assert held_counts(task, update) == task.structure.full_counts()
        sent = replace(update, arrays=state.arrays)
        for name in update.arrays:
            cut = outside(task, sent, name, half)
            rests = outside(task, update, name, half).tobytes() == cut.tobytes()
            assert rests == (update.facts.client_id in narrow or not cut.size), name


def test_the_merge_is_over_what_is_held() -> None:
    """Old 0; A holds half the channels, 100 examples, returns 1; B holds all, 300 examples, returns 3.

    Where both hold: (100 * 1 + 300 * 3) / 400 = 2.5, elsewhere 3. B counts there although no step of it kept
    these channels; what it returns is then the old value.
    """
    experiment = toy(method={"name": "fjord", "widths": [0.5, 1.0]}, profile=UNLIMITED)
    task, state, updates = updates_of(experiment)
    old = replace(state, arrays={n: np.zeros_like(a) for n, a in state.arrays.items()})
    half = width_counts(task.structure, 0.5, "ceil")
    made = []
    for update, counts, n, value in (
        (updates[0], half, 100, 1.0),
        (updates[1], task.structure.full_counts(), 300, 3.0),
    ):
        facts = replace(update.facts, n_examples=n)
        arrays = {name: np.full_like(a, value) for name, a in state.arrays.items()}
        holding = [first_mask(task.structure, counts)] * update.n_steps
        coverage = Coverage.of(task.structure, holding, update.coverage.examples, update.coverage.macs)
        made.append(replace(update, facts=facts, arrays=arrays, coverage=coverage))
    merged = experiment.method.merge(task, old, ROUND, iter(made))
    for name, array in merged.arrays.items():
        expected = np.full(array.shape, 3.0)
        expected[kept_elements(task.structure.tensors[name], first_mask(task.structure, half).kept)] = 2.5
        np.testing.assert_array_equal(array, expected)


def test_momentum_lives_through_the_round() -> None:
    """The FjORD of Successive Layer Training's code makes a new optimiser for each mini-batch, so that its
    momentum is never used: after one step momentum makes no difference, after two it must.
    """

    def models(steps: int) -> set[bytes]:
        found = set()
        for momentum in (0.0, 0.9):
            local = {"steps": steps, "batch_size": 8, "lr": 0.1}
            local["optimizer"] = {"momentum": momentum}
            _, _, updates = updates_of(toy(method={"name": "fjord"}, profile=UNLIMITED, local=local), 1)
            found.add(updates[0].arrays["conv1.conv.weight"].tobytes())
        return found

    assert (len(models(1)), len(models(2))) == (1, 2)


def test_clients_draw_from_their_own_generators() -> None:
    """The same code shares one generator over all devices, so that a client's widths depend on who trained
    before it. Here a client's update is the same whoever went first, and two clients draw differently.
    """
    experiment = toy(method={"name": "fjord"}, profile=UNLIMITED)
    _, _, in_order = updates_of(experiment)
    task = build(experiment)
    arrays = start(experiment, task).state.arrays
    job = Job(5, ROUND, arrays)
    alone = do(task, experiment.method, job)
    assert all(alone.arrays[n].tobytes() == a.tobytes() for n, a in in_order[5].arrays.items())
    assert len({u.facts.mean_keep_rate for u in in_order}) > 4


def test_a_width_that_nobody_has_holds_up_no_round() -> None:
    """Flower's baseline draws clients tier by tier and loops for ever where a tier has none. Here all clients
    are equally strong, so that four of five widths are nobody's largest, and every cohort is full.
    """
    played = play(2, method={"name": "fjord"}, profile=UNLIMITED)
    assert [row.n_selected for row in played.rounds] == [5, 5]
    assert {row.status for row in played.clients} == {"completed"}


def test_distillation_changes_the_model_and_nothing_fits_nobody() -> None:
    plain = play(1, profile=UNLIMITED, method={"name": "fjord"})
    distilled = play(1, profile=UNLIMITED, method={"name": "fjord", "distil": True})
    assert plain.model != distilled.model
    none: list[Any] = play(1, profile={"name": "constant", "level": 0.001}, method={"name": "fjord"}).clients
    assert {(r.status, r.macs, r.download_bytes) for r in none} == {("dropped", 0, 0)}
