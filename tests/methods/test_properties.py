"""Properties of every method, found by file, on networks of every kind of coupling."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import pytest
from rounds import ROUND, model_bytes, play, round_of
from toys import toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.client.client import do
from distreal_sim.client.messages import State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods import Method
from distreal_sim.simulation.rounds import start
from distreal_sim.thinning.structure import kept_elements

METHODS = names(Method)

NETS = ["TinyChain", "TinyResNet", "TinyDenseNet", "TinyMobileNet", "EvenChain"]
"""EvenChain has the stages that methods with sub-networks of less depth need."""

NEEDED: dict[str, dict[str, Any]] = {"small": {"width": 0.5}}
"""Options without which a method refuses clients as weak as those here."""

STRENGTHS = (0.3, 0.6, 0.9)
"""Capacities, of which the first counts with which a method can do anything: some need a forward pass of
everything, or the first stage and its exit."""

COUNTING: list[dict[str, Any]] = [
    {"name": "distreal"},
    {"name": "federated_dropout"},
    {"name": "fedrolex", "mask_labels": False},
    {"name": "heterofl", "mask_labels": False},
    {"name": "fjord"},
]
"""Methods that average a coordinate over the clients that hold it and do nothing else to it."""


NEEDS_STAGES = ("depthfl", "fedel", "inclusivefl")
"""The methods that refuse networks in which they find no stages; no other may refuse one."""


def _skip_if_refused(name: str, error: InputError) -> NoReturn:
    if name not in NEEDS_STAGES:
        raise error
    pytest.skip(str(error))


def options(name: str) -> dict[str, Any]:
    return {"name": name, **NEEDED.get(name, {})}


def weak_updates(method: dict[str, Any], net: str) -> tuple[Any, Task, State, list[Update]]:
    """Updates of two clients that have the same part of the capacity that the full network needs."""
    for level in STRENGTHS:
        found = updates_at(level, method, net)
        if found[3]:
            break
    return found


def updates_at(level: float, method: dict[str, Any], net: str) -> tuple[Any, Task, State, list[Update]]:
    experiment = toy(
        method=method,
        model={"name": f"nets.{net}"},
        partition={"name": "iid"},
        profile={"name": "constant", "level": level},
        local={"epochs": 2, "batch_size": 8, "lr": 0.1, "optimizer": {"momentum": 0.9, "weight_decay": 0.01}},
    )
    try:
        task = build(experiment)
    except InputError as error:
        _skip_if_refused(method["name"], error)
    state = start(experiment, task).state
    updates = []
    for job in experiment.method.plan(task, state, round_of([2, 5])):
        updates.append(do(task, experiment.method, job))
    return experiment.method, task, state, [u for u in updates if u.is_merged]


def held(task: Task, update: Update) -> dict[str, np.ndarray]:
    """The elements of each parameter that some step of the update kept, bool, by a loop over the steps."""
    masks = {name: np.zeros(task.structure.tensors[name].shape, bool) for name in task.structure.parameters}
    for step in range(update.n_steps):
        kept = [None if c is None else np.flatnonzero(c[step]) for c in update.coverage.kept]
        for name in masks.keys() & update.arrays.keys():
            masks[name][kept_elements(task.structure.tensors[name], kept)] = True
    return masks


def pairs(shift: int) -> list[Any]:
    """Every method with every network, of which one each is in the default tests, another with each shift.

    Methods that refuse most networks have the one that they take.
    """
    found = []
    for number, name in enumerate(METHODS):
        default = "EvenChain" if name in NEEDS_STAGES else NETS[(number + shift) % len(NETS)]
        for net in NETS:
            found.append(pytest.param(name, net, marks=() if net == default else pytest.mark.slow))
    return found


@pytest.mark.parametrize(("name", "net"), pairs(0))
def test_cut_out_and_put_back_untrained_is_the_same_model(name: str, net: str) -> None:
    """lr 0 with momentum and weight decay, three rounds with other sub-models each: no byte changes."""
    try:
        played = play(
            3,
            method=options(name),
            model={"name": f"nets.{net}"},
            local={
                "steps": 2,
                "batch_size": 8,
                "lr": 0.0,
                "optimizer": {"momentum": 0.9, "weight_decay": 0.1},
            },
            evaluation={"statistics_batches": 1, "every": 3},
        )
    except InputError as error:
        _skip_if_refused(name, error)
    assert sum(row.n_steps_done for row in played.clients) > 0
    for state in played.states[1:]:
        assert model_bytes(state) == model_bytes(played.states[0])


@pytest.mark.parametrize(("name", "net"), pairs(2))
def test_what_nobody_held_keeps_its_bytes(name: str, net: str) -> None:
    """PLATO's HeteroFL, FedRolex and AnyCostFL compute (global + sum - old) / max(count, 1), which makes a
    coordinate that nobody trained 0. Here it keeps its bytes.
    """
    method, task, state, updates = weak_updates(options(name), net)
    assert updates
    merged = method.merge(task, state, ROUND, iter(updates)).arrays
    masks = [held(task, update) for update in updates]
    n_left = 0
    for key, old in state.arrays.items():
        nobody = ~np.logical_or.reduce([mask[key] for mask in masks])
        assert merged[key][nobody].tobytes() == old[nobody].tobytes(), key
        n_left += int(nobody.sum())
    whole = all(c is None for u in updates for c in u.coverage.kept) and all(
        u.arrays.keys() >= state.arrays.keys() for u in updates
    )
    assert (n_left == 0) == whole or name == "distreal", "two clients of distreal may hold everything"


@pytest.mark.parametrize("net", by_default(NETS, NETS[:2]))
@pytest.mark.parametrize("method", COUNTING, ids=lambda m: m["name"])
def test_what_one_client_held_is_its_value_and_the_rest_a_mean(method: dict[str, Any], net: str) -> None:
    """Held by one: the bytes that it returned. Held by both: the mean weighted by examples, to float32's
    rounding.
    """
    merger, task, state, (a, b) = weak_updates(method, net)
    merged = merger.merge(task, state, ROUND, iter([a, b])).arrays
    of_a, of_b = held(task, a), held(task, b)
    wa, wb = a.facts.n_examples, b.facts.n_examples
    for key, value in merged.items():
        only_a, only_b, both = of_a[key] & ~of_b[key], of_b[key] & ~of_a[key], of_a[key] & of_b[key]
        assert value[only_a].tobytes() == a.arrays[key][only_a].tobytes()
        assert value[only_b].tobytes() == b.arrays[key][only_b].tobytes()
        of_both = [u.arrays[key][both].astype(float) for u in (a, b)]
        mean = (wa * of_both[0] + wb * of_both[1]) / (wa + wb)
        np.testing.assert_allclose(value[both], mean, rtol=1e-7)


@pytest.mark.parametrize("name", by_default(METHODS, SOME))
def test_the_dropped_have_been_sent_the_model_and_send_nothing(name: str) -> None:
    """Capacity falls to a thousandth at random times: whoever began and is late has bytes down, none up."""
    rows = play(
        3,
        method=options(name),
        overrun="drop",
        profile={"name": "markov", "levels": [0.001, 1.0], "changes_per_round": 3},
        n_clients=24,
        clients_per_round=12,
    ).clients
    late = [r for r in rows if r.status == "dropped" and r.macs > 0]
    assert len(late) >= 2
    assert all(r.download_bytes > 0 for r in late)
    assert all(r.upload_bytes == 0 for r in rows if r.status == "dropped")
    assert all(r.download_bytes > 0 < r.upload_bytes for r in rows if r.status != "dropped")
