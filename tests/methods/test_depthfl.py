"""DepthFL and InclusiveFL: who holds what, and what exits learn."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from rounds import ROUND, play, updates_of
from toys import toy

from distreal_sim.base.rng import Rngs
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.inspection.check import print_check
from distreal_sim.methods.depthfl import mutual_loss, ramp
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.simulation.evaluation import statistics_shards
from distreal_sim.submodels.depths import depths_of
from distreal_sim.submodels.exits import WithExits

METHODS = ["depthfl", "inclusivefl"]


def task_of(method: str, model: str, **options: Any) -> Task:
    return build(toy(method={"name": method, **options}, model={"name": model}))


def exits_of(task: Task) -> WithExits:
    assert isinstance(task.module, WithExits)
    return copy.deepcopy(task.module)


def test_golden_ramp() -> None:
    """exp(-5), exp(-5 / 4), 1, and 1 ever after."""
    assert ramp(0, 300) == pytest.approx(0.006738, abs=5e-7)
    assert ramp(150, 300) == pytest.approx(0.2865, abs=5e-5)
    assert ramp(300, 300) == ramp(1000, 300) == 1.0


def test_mutual_loss_by_hand() -> None:
    """Two exits that say (1/2, 1/2) and (3/4, 1/4), label 0: -ln(1/2) - ln(3/4); the divergences are
    3/4 ln(3/2) + 1/4 ln(1/2) and 1/2 ln(2/3) + 1/2 ln(2), and one pair has weight strength / (2 - 1).
    """
    a, b = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    plain = -math.log(0.5) - math.log(0.75)
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert mutual_loss(Classification(), [a, b], torch.tensor([0]), 0.0).item() == pytest.approx(
        plain, rel=1e-6
    )
    loss = mutual_loss(Classification(), [a, b], torch.tensor([0]), 0.3)
    assert loss.item() == pytest.approx(plain + 0.3 * divergence, rel=1e-6)


def test_mutual_loss_against_a_plain_loop() -> None:
    """Gradients for three exits; the teacher of each pair is constant, and a divergence is the mean over
    examples of a sum over classes. ScaleFL's code has torch's default instead, which also divides by the
    number of classes, and lets gradients into the teacher.
    """
    torch.manual_seed(1)
    scores = [torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    y = torch.tensor([0, 3, 4, 1])
    found = torch.autograd.grad(mutual_loss(Classification(), scores, y, 0.7), scores)
    for i, own in enumerate(scores):
        loss = F.cross_entropy(own, y)
        for j, other in enumerate(scores):
            if j != i:
                p, q = other.detach().softmax(1), own.softmax(1)
                loss = loss + 0.7 / 2 * (p * (p.log() - q.log())).sum() / len(y)
        torch.testing.assert_close(found[i], torch.autograd.grad(loss, own)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_client_trains_what_it_holds_and_nothing_else(method: str) -> None:
    """Equal clients with half the capacity: 16368 MACs an example, of 4728, 18792 (18672) and more: depth 1.

    With 0.6, 19641: depth 2.
    """
    for level, index in ((0.5, 0), (0.6, 1)):
        experiment = toy(
            method={"name": method},
            partition={"name": "iid"},
            profile={"name": "constant", "level": level},
        )
        task, state, updates = updates_of(experiment, 2)
        depth = depths_of(task, earlier_exits=method == "depthfl")[index]
        for update in updates:
            assert update.arrays.keys() == depth.names
            assert all(a.tobytes() != state.arrays[n].tobytes() for n, a in update.arrays.items())
            assert update.facts.macs == depth.level.macs_per_example * update.coverage.n_examples
        merged = experiment.method.merge(task, state, ROUND, iter(updates)).arrays
        a, b = (update.arrays["network.conv1.conv.weight"].astype(float) for update in updates)
        np.testing.assert_allclose(merged["network.conv1.conv.weight"], (a + b) / 2, rtol=1e-6)
        rest = merged.keys() - depth.names
        assert rest
        assert all(merged[n].tobytes() == state.arrays[n].tobytes() for n in rest)


@pytest.mark.parametrize("method", METHODS)
def test_the_deepest_sub_model_trained_so_far_is_tested_too(method: str) -> None:
    """Nobody fits the third depth. Accuracy and loss (1e-5) are those of the children of `small_cnn` up to
    the second pool, one after another, and of the exits on the way, their mean or the last; batch norm was
    run, with cumulative averages, over the batches of the statistics.
    """
    profile = {"name": "tiers", "levels": [0.4, 0.7]}
    got = play(3, method={"name": method}, profile=profile, partition={"name": "iid"})
    task, row = got.task, got.rounds[-1]
    assert int(got.states[-1].extras["deepest"]) == 1
    module = exits_of(task)
    module.load_state_dict({n: torch.from_numpy(a) for n, a in got.states[-1].arrays.items()}, strict=False)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
            part.reset_running_stats()
    cohort = [r.client_id for r in got.clients if r.round == 3 and r.status != "dropped"]
    x, y = task.batch(task.data.test, slice(None))
    with torch.no_grad():
        for clients, draws in statistics_shards(task, cohort):
            for client, draw in zip(clients, draws, strict=True):
                indices = task.split[client]
                order = Rngs(task.seed, (3, client))("statistics", draw).permutation(len(indices))
                batch = indices[order[: task.local.batch_size]]
                module.train()(task.batch(task.data.train, batch)[0])
        module.eval()
        scores, exits = [], iter(module.exits)
        for name, part in module.network.named_children():
            x = part(x)
            if name in module.after:
                scores.append(next(exits)(x))
    outputs = (scores[0] + scores[1]) / 2 if method == "depthfl" else scores[1]
    assert row.submodel_accuracy == int((outputs.argmax(1) == y).sum()) / len(y)
    assert row.submodel_loss == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert row.submodel_accuracy > row.test_accuracy, "what nobody trained only disturbs"


@pytest.mark.parametrize("method", METHODS)
def test_once_the_whole_is_trained_it_is_the_deepest(method: str) -> None:
    """Clients of depth 3 among those of depth 1, who may be alone in a later round."""
    profile = {"name": "tiers", "levels": [0.5, 2.0]}
    got = play(4, method={"name": method}, profile=profile, clients_per_round=2)
    deepest = [int(state.extras.get("deepest", -1)) for state in got.states]
    assert deepest[0] == -1
    assert deepest == sorted(deepest)
    assert deepest[-1] == 2
    for n, row in zip(deepest[1:], got.rounds, strict=True):
        same = (row.submodel_accuracy, row.submodel_loss) == (row.test_accuracy, row.test_loss)
        assert same == (n == 2)


def test_exits_are_drawn_by_seed_and_the_network_is_as_without_them() -> None:
    plain = build(toy(method={"name": "fedavg"})).module.state_dict()
    first = build(toy(method={"name": "depthfl"})).module.state_dict()
    again = build(toy(method={"name": "depthfl"})).module.state_dict()
    other = build(toy(method={"name": "depthfl"}, seed=8)).module.state_dict()
    assert all(torch.equal(first[f"network.{name}"], value) for name, value in plain.items())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["exits.0.linear.weight"], other["exits.0.linear.weight"])


def test_check_shows_what_the_exits_add() -> None:
    """1,702 parameters, and 50 and 90 of the exits."""
    text = io.StringIO()
    print_check(toy(method={"name": "depthfl"}), Console(file=text))
    lines = text.getvalue().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("trained"))
    assert lines[at].endswith("the model with what method depthfl adds to it")
    assert lines[at + 1].split(";")[0].strip() == "1,842 parameters"
