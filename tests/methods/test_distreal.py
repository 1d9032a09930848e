"""DISTREAL: equal to FedAvg where it must be, different from its simplifications where they differ."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from rounds import round_of
from toys import toy_fleet, whole_toy

from distreal_sim.client.messages import Facts
from distreal_sim.client.task import Task
from distreal_sim.methods.small import Small
from distreal_sim.simulation.rounds import Progress, Simulation, play_round, start
from distreal_sim.thinning.cost import training_macs

UNLIMITED = {"name": "constant", "level": math.inf}


class Rows:
    """A recorder that keeps the client rows."""

    def __init__(self) -> None:
        self.clients: list[Any] = []

    def write(self, row: Any, rows: list[Any], timing: Any) -> None:
        self.clients += rows

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        pass


def states(rounds: int, **changes: Any) -> tuple[Task, list[dict[str, bytes]], list[Any]]:
    """The model's bytes after each of some rounds, and the client rows."""
    experiment = whole_toy(rounds=rounds, **changes)
    task, fleet = toy_fleet(experiment)
    progress, rows = start(experiment, task), Rows()
    seen = []
    for _ in range(rounds):
        progress, _ = play_round(Simulation(experiment, task, fleet, rows), progress)
        seen.append({k: v.tobytes() for k, v in progress.state.arrays.items()})
    return task, seen, rows.clients


def test_unlimited_capacity_is_fedavg_bit_for_bit() -> None:
    """With capacity inf every pick is the zero vector, so three rounds give FedAvg's bytes."""
    _, distreal, _ = states(3, profile=UNLIMITED, method={"name": "distreal"})
    _, fedavg, _ = states(3, profile=UNLIMITED, method={"name": "fedavg"})
    assert distreal == fedavg


def test_options_change_the_result() -> None:
    """Masks drawn once a round, prefix filters and scaled activations each give another model."""
    local = {"epochs": 2, "batch_size": 4, "lr": 0.1}
    options: list[dict[str, Any]] = [
        {},
        {"resample": "round"},
        {"filters": "ordered"},
        {"scaling": "inverted"},
    ]
    found = [states(1, local=local, method={"name": "distreal", **option})[1] for option in options]
    for one, other in itertools.combinations(found, 2):
        assert one != other


def test_the_pick_follows_the_capacity_inside_a_round() -> None:
    """A pick frozen at the start of the round would give every step of a client one width.

    Where capacity changes in mid-round, steps of one client have different widths: the mean keep rate of
    some client-round is then no keep rate of the front.
    """
    task, _, rows = states(2, local={"epochs": 2, "batch_size": 4, "lr": 0.1})
    assert task.front is not None
    full = np.array(task.structure.full_counts())
    possible = [float(np.mean(np.array(e.counts) / full)) for e in task.front.entries]
    mixed = [
        r for r in rows if r.n_steps_done and not any(math.isclose(r.mean_keep_rate, p) for p in possible)
    ]
    assert len(mixed) >= 3


def test_reply_order_does_not_matter() -> None:
    """The fleet hands updates over in client order, whoever answers first."""
    experiment = whole_toy()
    task, fleet = toy_fleet(experiment)
    jobs = experiment.method.plan(task, start(experiment, task).state, round_of([0, 3, 5, 7]))
    one_at_a_time = type(fleet)(fleet.grid, task, nodes=None, window=1, states=None)
    wide = [u.facts for u in fleet.train(jobs)]
    narrow = [u.facts for u in one_at_a_time.train(jobs)]
    assert [f.client_id for f in wide] == [0, 3, 5, 7]
    assert repr(wide) == repr(narrow)


def test_small_is_the_widest_network_that_the_weakest_client_can_train() -> None:
    """At the lower bound the client with most examples finishes; one filter more in any layer is too much."""
    experiment = whole_toy(method={"name": "small"}, profile={"name": "constant", "level": 0.2})
    task, fleet = toy_fleet(experiment)
    full = toy_fleet(whole_toy(profile={"name": "constant", "level": 0.2}))[0]
    most = int(task.split.sizes.max())
    budget = 0.2 * full.devices.macs_per_s * task.deadline_s
    counts = task.structure.full_counts()
    assert training_macs(task.structure, counts) * most <= budget * (1 + 1e-9)
    wider = sorted({k / g.channels for g in full.structure.groups for k in range(1, g.channels + 1)})
    shapes = [tuple(max(1, math.floor(w * g.channels + 0.5)) for g in full.structure.groups) for w in wider]
    next_wider = shapes[shapes.index(counts) + 1]
    assert training_macs(full.structure, next_wider) * most > budget
    facts: list[Facts] = [
        u.facts
        for u in fleet.train(experiment.method.plan(task, start(experiment, task).state, round_of(range(12))))
    ]
    assert {f.status for f in facts} == {"completed"}


def test_small_with_a_given_width() -> None:
    task, _ = toy_fleet(whole_toy(method={"name": "small", "width": 0.5}))
    assert Small(width=0.5).width == 0.5
    assert task.structure.full_counts() == (2, 4, 8)


def test_the_cheapest_entry_is_taken_below_the_front_and_its_steps_count() -> None:
    """Level 0.02: even one filter a layer is too much; the finished steps are merged as partial work."""
    _, _, rows = states(1, profile={"name": "constant", "level": 0.02}, method={"name": "distreal"})
    assert {r.status for r in rows} == {"partial"}
    assert all(0 < r.n_steps_done < r.n_steps_planned for r in rows)


def test_small_at_full_width_is_fedavg_bit_for_bit() -> None:
    """Width 1 is the configured network with its own initialisation."""
    _, small, _ = states(2, profile=UNLIMITED, method={"name": "small", "width": 1.0})
    _, fedavg, _ = states(2, profile=UNLIMITED, method={"name": "fedavg"})
    assert small == fedavg


def test_narrow_weights_start_at_the_scale_of_their_inputs() -> None:
    """Half the width: conv2 reads 2 of 4 channels, so its weights are the first ones times sqrt(2)."""
    half, _ = toy_fleet(whole_toy(method={"name": "small", "width": 0.5}))
    full, _ = toy_fleet(whole_toy(method={"name": "fedavg"}))
    narrow = half.module.get_submodule("conv2.conv").weight.detach().numpy()
    wide = full.module.get_submodule("conv2.conv").weight.detach().numpy()
    np.testing.assert_allclose(narrow, wide[:4, :2] * math.sqrt(2), rtol=1e-6)


def test_a_round_without_clients_changes_nothing() -> None:
    """Nobody is available: the model, its statistics and its accuracy are those of the round before."""
    experiment = whole_toy(rounds=2)
    task, fleet = toy_fleet(experiment)
    first, row = play_round(Simulation(experiment, task, fleet, Rows()), start(experiment, task))
    away = whole_toy(rounds=2, availability={"name": "random", "share": 1e-9})
    nobody = replace(task, devices=replace(task.devices, availability=away.availability))
    second, again = play_round(Simulation(away, nobody, fleet, Rows()), first)
    assert (again.n_selected, again.train_loss) == (0, None)
    assert second.statistics is first.statistics
    assert (again.test_accuracy, again.test_loss) == (row.test_accuracy, row.test_loss)
    assert all(second.state.arrays[k].tobytes() == v.tobytes() for k, v in first.state.arrays.items())
