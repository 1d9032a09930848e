"""The score of a dropout vector."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.config import parse_experiment
from distreal_sim.data.datasets import Examples
from distreal_sim.search.objective import MIXED, WORST_LOSS, Objective, Score, make_objective

from .toy_search import tiny_search


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Objective:
    settings = {"validation": 0.3, "pretraining": "full"}
    return make_objective(*tiny_search(tmp_path_factory.mktemp("search"), **settings))


def test_mean_and_error_by_hand() -> None:
    """Means 2 and 6: score 4. Variances of the drops 2 and 8 (n - 1), of the means 1 and 4; of the score
    (1 + 4) / 4: its root is 1.1180.
    """
    score = Score(((1.0, 3.0), (4.0, 8.0)))
    assert score.mean == 4.0
    assert score.error == pytest.approx(math.sqrt(5) / 2, abs=1e-12)


def test_the_same_candidate_scores_the_same(objective: Objective) -> None:
    """Whatever was scored before; the two streams differ, and so do the repeats."""
    first = objective.score((2, 4, 8), "search")
    objective.score((4, 1, 3), "search")
    fresh = objective.score((2, 4, 8), "reevaluation")
    assert objective.score((2, 4, 8), "search") == first
    assert {drop for drops in fresh.drops for drop in drops}.isdisjoint(first.drops[0] + first.drops[1])
    assert len(set(first.drops[0])) == 2
    assert (len(first.drops), len(fresh.drops[0])) == (2, 2)


def test_the_data_are_split_in_three(objective: Objective) -> None:
    """1437 training examples of the digits: 30 % held out, the rest trained on, no test example."""
    held, data = objective.held, objective.task.data
    assert (len(held), len(data.train)) == (431, 1006)
    rows = [{x.tobytes() for x in examples.x} for examples in (held, data.train, data.test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]


class Twin:
    """Central training in plain PyTorch with the settings of the toy experiment."""

    def __init__(self, objective: Objective) -> None:
        self.data, self.held = objective.task.data, objective.held
        self.statistics = objective.statistics
        self.module = copy.deepcopy(objective.task.module).train()

    def inputs(self, examples: Examples, indices: np.ndarray | slice) -> Tensor:
        mean, std = (float(v[0]) for v in (self.data.mean, self.data.std))
        return (torch.tensor(examples.x[indices], dtype=torch.float32) - mean) / std

    def train(self, order: np.ndarray, n_steps: int) -> None:
        optimiser = torch.optim.SGD(self.module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.001)
        for step in range(n_steps):
            batch = order[16 * step : 16 * (step + 1)]
            loss = F.cross_entropy(
                self.module(self.inputs(self.data.train, batch)), torch.tensor(self.data.train.y[batch])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def loss(self) -> float:
        tested = copy.deepcopy(self.module)
        for norm in tested.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.reset_running_stats()
                norm.momentum = None  # the cumulative average
        with torch.no_grad():
            for batch in self.statistics:
                tested(self.inputs(self.data.train, batch))
            outputs = tested.eval()(self.inputs(self.held, slice(None)))
        return F.cross_entropy(outputs, torch.tensor(self.held.y)).item()


def test_the_zero_vector_is_plain_central_training(objective: Objective) -> None:
    """An independent loop: ten steps of pre-training, then three from either snapshot, two seeds each."""
    n_examples = len(objective.task.data.train)
    twin = Twin(objective)
    snapshots = [copy.deepcopy(twin.module)]
    twin.train(Rngs(1)("pre-training batches").permutation(n_examples), 10)
    snapshots.append(twin.module)
    expected = []
    for s, snapshot in enumerate(snapshots):
        for r in range(2):
            twin.module = copy.deepcopy(snapshot)
            before = twin.loss()
            twin.train(Rngs(1, (s, r))("search batches").permutation(n_examples), 3)
            expected.append(before - twin.loss())
    score = objective.score(objective.task.structure.full_counts(), "search")
    assert [d for drops in score.drops for d in drops] == pytest.approx(expected, abs=2e-5)
    assert score.mean > 0.05


def test_a_wider_candidate_keeps_what_a_narrower_one_keeps(tmp_path: Path) -> None:
    """Common random numbers: one step at learning rate 1 changes exactly the filters that it kept."""
    search, experiment = tiny_search(tmp_path, steps=1, snapshots=[0], lr=1.0)
    objective = make_objective(search, experiment)
    touched = []
    for counts in ((2, 8, 16), (3, 8, 16), (4, 8, 16)):
        objective.score(counts, "search")
        weights = objective.task.engine.export()["conv1.conv.weight"]
        start = objective.snapshots[0]["conv1.conv.weight"]
        touched.append({i for i in range(4) if (weights[i] != start[i]).any()})
    assert [len(t) for t in touched] == [2, 3, 4]
    assert touched[0] < touched[1] < touched[2]


def test_mixed_pretraining_without_thin_vectors_is_full_pretraining(tmp_path: Path) -> None:
    """Rates up to 0.01 keep every channel, so that all uniform vectors are the zero vector."""
    settings = {"snapshots": [0, 5], "d_max": 0.01}
    full, mixed = (
        make_objective(*tiny_search(tmp_path, pretraining=how, **settings)) for how in ("full", "mixed")
    )
    assert full.before == mixed.before
    counts = full.task.structure.full_counts()
    assert full.score(counts, "search") == mixed.score(counts, "search")


def test_a_mixed_step_changes_the_filters_of_one_uniform_vector(tmp_path: Path) -> None:
    """Over 24 seeds a step at learning rate 1 changes as many of four filters as the uniform vectors keep."""
    seen = set()
    for seed in range(24):
        settings = {"pretraining": "mixed", "snapshots": [0, 1], "lr": 1.0, "seed": seed}
        objective = make_objective(*tiny_search(tmp_path, **settings))
        before, after = (s["conv1.conv.weight"] for s in objective.snapshots)
        seen.add(sum(bool((a != b).any()) for a, b in zip(before, after, strict=True)))
    assert seen == {counts[0] for counts in objective.space.uniform(MIXED)} == {1, 2, 3, 4}


def test_a_diverged_vector_is_bad_not_undefined(tmp_path: Path) -> None:
    search, experiment = tiny_search(tmp_path, lr=1e30)
    objective = make_objective(search.model_copy(update={"snapshots": (0,)}), experiment)
    score = objective.score((4, 8, 16), "search")
    assert score.mean == pytest.approx(objective.before[0] - WORST_LOSS)


def test_nothing_to_search(tmp_path: Path) -> None:
    """A network of linear layers: it has a group by default, and none with drop_linear: false."""
    search, _ = tiny_search(tmp_path, snapshots=[0])
    model = {"name": "search.two_layers.OnlyLinear"}
    without = {**TOY, "model": model, "method": {"name": "distreal", "drop_linear": False}}
    with pytest.raises(InputError, match=r"OnlyLinear has no layer that may be thinned"):
        make_objective(search, parse_experiment(without, source="toy"))
    objective = make_objective(search, parse_experiment({**TOY, "model": model}, source="toy"))
    assert objective.space.uniform(3) == [(6,), (3,), (1,)]
