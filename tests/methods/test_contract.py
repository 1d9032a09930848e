"""What every method must do, found by file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from rounds import ROUND, round_of
from toys import RECIPE, TOY, toy, toy_fleet
from variants import SOME, by_default

from distreal_sim.base.plugins import load, names
from distreal_sim.client.client import do
from distreal_sim.client.messages import Job, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.merging.merges.average import Average
from distreal_sim.methods import Method
from distreal_sim.simulation.play import final_model
from distreal_sim.simulation.rounds import Progress, Simulation, play_round, start

NAMES = names(Method)

RECIPES: dict[str, dict[str, Any]] = {"sgd": TOY["local"], "adam": RECIPE}
"""`local` by what a recipe is known by; the methods know none of it."""


class NoRecords:
    """A recorder for tests that look at states."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def write(self, row: Any, rows: list[Any], timing: Any) -> None:
        self.rows.append(row)

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        pass


def updates_of(
    experiment: Any, round_number: int = 1, clients: Sequence[int] = range(8)
) -> tuple[Any, State, list[Update]]:
    task = build(experiment)
    state = start(experiment, task).state
    jobs = experiment.method.plan(task, state, round_of(range(8), round_number))
    by_client = {job.client_id: job for job in jobs}
    mine = [by_client[client] for client in clients if client in by_client]
    return task, state, [do(task, experiment.method, job) for job in mine]


WITH_GRADIENT = ("folb",)
"""Methods whose clients send a gradient beside the model."""

LEAVES_OUT = ("ts_fl",)
"""Methods whose `plan` may leave clients of a cohort out."""


STEADY = {"name": "constant", "level": 0.5}
"""A profile with which every client hands in something."""


def steady(name: str) -> dict[str, Any]:
    """STEADY for a method; with more time for one whose clients compute a gradient first."""
    return {**STEADY, "level": 1.5} if name in WITH_GRADIENT else STEADY


UNEQUAL = {"name": "tiers", "levels": [0.3, 0.6, 2.0]}
"""One with which each size of sub-model has a client, where all take part."""

Updates = Callable[[str], tuple[Task, State, list[Update]]]
Round = Callable[[str], tuple[Task, Progress, Progress]]


@pytest.fixture(scope="module", params=["sgd", pytest.param("adam", marks=pytest.mark.slow)])
def local(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A recipe."""
    return RECIPES[request.param]


@pytest.fixture(scope="module")
def first_round(local: dict[str, Any]) -> Updates:
    """(task, initial state, updates of eight clients) of a method in the toy experiment; only to be read."""
    return cache(lambda name: updates_of(toy(method={"name": name}, local=local)))


@pytest.fixture(scope="module")
def steady_round(local: dict[str, Any]) -> Updates:
    """As `first_round`, with STEADY clients."""
    return cache(lambda name: updates_of(toy(method={"name": name}, profile=steady(name), local=local)))


@pytest.fixture(scope="module")
def unequal_round(local: dict[str, Any]) -> Round:
    """(task, before, after) of a round of a method with all twelve UNEQUAL clients; only to be read."""

    @cache
    def played(name: str) -> tuple[Task, Progress, Progress]:
        experiment = toy(method={"name": name}, profile=UNEQUAL, clients_per_round=12, local=local)
        task, fleet = toy_fleet(experiment)
        before = start(experiment, task)
        after, _ = play_round(Simulation(experiment, task, fleet, NoRecords()), before)
        return task, before, after

    return played


@pytest.mark.parametrize("name", NAMES)
def test_cites_and_confesses(name: str) -> None:
    """A method's file says where it comes from and what differs from there, or that it is ours."""
    module = inspect.getmodule(load(Method, name))
    assert module is not None
    text = " ".join((module.__doc__ or "").split())
    assert "our choice" in text.lower() or "our formulation" in text.lower()
    assert any(year in text for year in map(str, range(2015, 2027))) or "Our formulation" in text


@pytest.mark.parametrize("name", NAMES)
def test_zero_learning_rate_changes_no_byte(name: str, local: dict[str, Any]) -> None:
    """lr 0: every step runs, masks are drawn, nothing moves, and the merge gives the same bytes back."""
    optimizer = {**local["optimizer"], "weight_decay": 0.1}
    still = {**local, "epochs": 2, "lr": 0.0, "optimizer": optimizer}
    experiment = toy(method={"name": name}, local=still)
    task, fleet = toy_fleet(experiment)
    before = start(experiment, task)
    after, row = play_round(Simulation(experiment, task, fleet, NoRecords()), before)
    assert row.macs > 0
    for key, value in before.state.arrays.items():
        assert after.state.arrays[key].tobytes() == value.tobytes(), key


@pytest.mark.parametrize("name", NAMES)
def test_training_moves_the_model(name: str, unequal_round: Round) -> None:
    """All clients in one round, as unequal as it takes for each size of sub-model to have one."""
    _, before, after = unequal_round(name)
    moved = [k for k, v in before.state.arrays.items() if after.state.arrays[k].tobytes() != v.tobytes()]
    assert moved == list(before.state.arrays)


@pytest.mark.parametrize("name", NAMES)
def test_a_job_done_twice_gives_the_same_update(
    name: str, first_round: Updates, local: dict[str, Any]
) -> None:
    """The worker's scratch memory, what it did before, and torch's own generator leave no trace.

    So the clients may be done in any order: the other way round each has had other clients before it.
    """
    _, _, first = first_round(name)
    _, _, second = updates_of(toy(method={"name": name}, local=local), clients=range(8)[::-1])
    for a, b in zip(first, second[::-1], strict=True):
        assert repr(a.facts) == repr(b.facts)
        assert all(a.arrays[k].tobytes() == b.arrays[k].tobytes() for k in a.arrays)
        for x, y in zip(a.coverage.kept, b.coverage.kept, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", NAMES)
def test_a_coordinate_nobody_trained_keeps_its_bytes(name: str, steady_round: Updates) -> None:
    """Coverage that claims that all dropped channel 0 of the last group: its filter stays."""
    task, state, updates = steady_round(name)
    method = toy(method={"name": name}).method
    group = 2
    key = next(k for k in state.arrays if k.endswith("conv3.conv.weight"))
    claimed = []
    for update in updates:
        if not update.is_merged:
            continue
        kept = np.ones((update.n_steps, task.structure.groups[group].channels), bool)
        kept[:, 0] = False
        arrays = {k: v.copy() for k, v in update.arrays.items()}
        if key in arrays:
            arrays[key][0] = state.arrays[key][0]
        coverage = replace(update.coverage, kept=(*update.coverage.kept[:group], kept))
        claimed.append(replace(update, coverage=coverage, arrays=arrays))
    merged = method.merge(task, state, ROUND, iter(claimed))
    assert merged.arrays[key][0].tobytes() == state.arrays[key][0].tobytes()
    if any(key in update.arrays for update in claimed):
        assert merged.arrays[key][1].tobytes() != state.arrays[key][1].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_weight_in_the_merge_is_the_experiments(name: str, steady_round: Updates) -> None:
    """Client c says that it has c + 1 times its examples: that changes the merge by examples, the default,
    and no byte of the merge by clients, in which all count alike.
    """
    task, state, updates = steady_round(name)
    method = toy(method={"name": name}).method
    merged = [update for update in updates if update.is_merged]
    claimed = [
        replace(u, facts=replace(u.facts, n_examples=(number + 1) * u.facts.n_examples))
        for number, u in enumerate(merged)
    ]
    assert len(claimed) > 1
    for weight, same in (("examples", False), ("clients", True)):
        own = replace(task, merge=Average(weight=weight))
        one, other = (method.merge(own, state, ROUND, iter(given)).arrays for given in (merged, claimed))
        assert all(one[k].tobytes() == other[k].tobytes() for k in one) == same


@pytest.mark.parametrize("name", NAMES)
def test_all_updates_lost_leaves_the_state(name: str, first_round: Updates) -> None:
    task, state, _ = first_round(name)
    merged = toy(method={"name": name}).method.merge(task, state, ROUND, iter(()))
    assert all(merged.arrays[k].tobytes() == v.tobytes() for k, v in state.arrays.items())


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_consistent(name: str, first_round: Updates) -> None:
    """Nobody computes more than it was offered; no more than the model travels; statuses match the steps.

    A client that sees at the start that it cannot do its part is dropped without a download. WITH_GRADIENT an
    update is as long as two models.
    """
    task, state, updates = first_round(name)
    model_bytes = sum(a.nbytes for a in state.arrays.values())
    for update in updates:
        facts = update.facts
        offered = task.devices.capacity(facts.client_id, 0.0).offered(0.0, max(task.deadline_s, facts.sim_s))
        assert facts.macs <= offered * (1 + 1e-9)
        assert (0 if facts.macs == 0 else 1) <= facts.download_bytes <= model_bytes
        assert len(update.coverage.macs) == update.n_steps
        assert update.coverage.macs.sum() <= facts.macs
        if facts.status == "completed":
            assert facts.n_steps_done == facts.n_steps_planned == update.n_steps
            assert update.coverage.macs.sum() == facts.macs
        if facts.status == "dropped":
            assert (facts.upload_bytes, dict(update.arrays)) == (0, {})
        else:
            coverage_bytes = sum(-(-k.size // 8) for k in update.coverage.kept if k is not None)
            n_models = 2 if name in WITH_GRADIENT else 1
            assert 0 < facts.upload_bytes <= n_models * model_bytes + coverage_bytes
            assert 0 < facts.mean_keep_rate <= 1


@pytest.mark.parametrize("name", by_default(NAMES, SOME))
def test_bfloat16_changes_the_arithmetic_only(
    name: str, steady_round: Updates, local: dict[str, Any]
) -> None:
    """Other bits and a loss near the exact one; the same facts, for time and cost depend on no arithmetic."""
    _, _, exact = steady_round(name)
    rounding = {**local, "precision": "bfloat16"}
    rounded = updates_of(toy(method={"name": name}, profile=steady(name), local=rounding))[2]
    for a, b in zip(exact, rounded, strict=True):
        assert b.facts.train_loss == pytest.approx(a.facts.train_loss, rel=0.05, nan_ok=True)
        assert repr(replace(b.facts, train_loss=0.0)) == repr(replace(a.facts, train_loss=0.0))
        assert all(array.dtype == np.float32 for array in b.arrays.values())
    pairs = [(a.arrays[k], b.arrays[k]) for a, b in zip(exact, rounded, strict=True) for k in a.arrays]
    assert any((a != b).any() for a, b in pairs)


@pytest.mark.parametrize("name", by_default(NAMES, SOME))
def test_a_recipe_changes_the_arithmetic_only(name: str, steady_round: Updates) -> None:
    """Other steps, so other parameters; the same facts, whichever rule the clients' steps follow."""
    _, state, plain = steady_round(name)
    others = updates_of(toy(method={"name": name}, profile=steady(name), local=RECIPES["adam"]))[2]
    for a, b in zip(plain, others, strict=True):
        assert repr(replace(b.facts, train_loss=0.0)) == repr(replace(a.facts, train_loss=0.0))
        assert a.arrays.keys() == b.arrays.keys()
    merged = [update for update in others if update.is_merged]
    for key in {key for update in merged for key in update.arrays if key in state.arrays}:
        moved = [u.arrays[key] for u in merged if key in u.arrays]
        assert any(new.shape != state.arrays[key].shape or (new != state.arrays[key]).any() for new in moved)


@pytest.mark.parametrize("name", ["distreal", "fedavg", "fednova", "fedprox", "small"])
def test_the_whole_model_travels(name: str, first_round: Updates) -> None:
    """Both ways, with the packed coverage of a thinned update; down also to a client that is dropped."""
    _, state, updates = first_round(name)
    model_bytes = sum(a.nbytes for a in state.arrays.values())
    for update in updates:
        coverage_bytes = sum(-(-k.size // 8) for k in update.coverage.kept if k is not None)
        assert update.facts.download_bytes == model_bytes
        assert update.facts.upload_bytes == (model_bytes + coverage_bytes if update.is_merged else 0)


@pytest.mark.parametrize("name", NAMES)
def test_final_model_loads_into_the_network(name: str, unequal_round: Round) -> None:
    """The saved state dict fits the trained network, strictly."""
    task, _, progress = unequal_round(name)
    saved = {k: torch.from_numpy(np.array(v)) for k, v in final_model(task, progress).items()}
    assert not any(task.module.load_state_dict(saved, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_jobs_are_one_per_client_in_order(name: str, first_round: Updates) -> None:
    task, state, _ = first_round(name)
    jobs: list[Job] = toy(method={"name": name}).method.plan(task, state, round_of([1, 4, 5], 3, 20.0))
    found = [(j.client_id, j.round.number, j.round.start_s) for j in jobs]
    cohort = [(1, 3, 20.0), (4, 3, 20.0), (5, 3, 20.0)]
    assert (
        found == cohort if name not in LEAVES_OUT else [job for job in cohort if job in found] == found != []
    )
