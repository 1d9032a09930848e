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
from toys import WHOLE_TOY
from variants import by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.config import parse_experiment
from distreal_sim.config.build import build
from distreal_sim.data.datasets import Examples
from distreal_sim.search.objective import MIXED, WORST_LOSS, Objective, make_objective
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Stream
from distreal_sim.search.worth import fewer_steps

from .toy_search import tiny_search

STREAMS: tuple[Stream, ...] = ("search", "reevaluation")


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> Objective:
    settings = {"validation": 0.3, "pretraining": "full", "data": "pooled"}
    return make_objective(*tiny_search(tmp_path_factory.mktemp("search"), **settings))


def test_mean_and_error_by_hand() -> None:
    """Means 2 and 6: score 4. Variances of the drops 2 and 8 (n - 1), of the means 1 and 4; of the score
    (1 + 4) / 4: its root is 1.1180.
    """
    score = Score(((1.0, 3.0), (4.0, 8.0)))
    assert score.mean == 4.0
    assert score.error == pytest.approx(math.sqrt(5) / 2, abs=1e-12)


def test_between_measured_shares() -> None:
    """Drops of 2 and 4 after half of the steps, 3 and 9 after all: half way to the first, 1 and 2; half way
    between them, 2.5 and 6.5.
    """
    score = Score(((3.0, 9.0),), ((0.5, Score(((2.0, 4.0),))),))
    drops = {0.25: (1.0, 2.0), 0.5: (2.0, 4.0), 0.75: (2.5, 6.5), 1.0: (3.0, 9.0)}
    assert {share: score.after(share).drops for share in drops} == {s: (d,) for s, d in drops.items()}


def test_between_measured_shares_where_more_steps_harm() -> None:
    """Drops of 4 after a quarter of the steps, 1 after half, 6 after all, and -1 before all of them after an
    eighth: nothing till there, half way from 0 to 4 at 3/16, level to a half, half way from 4 to 6 at 3/4.
    As `fewer_steps` has it.
    """
    drops = {0.125: -1.0, 0.25: 4.0, 0.5: 1.0, 1.0: 6.0}
    score = Score(((6.0,) * 2,), tuple((s, Score(((d,) * 2,))) for s, d in drops.items() if s < 1))
    asked = [0.0625, 0.1875, 0.375, 0.75]
    assert [score.after(share).mean for share in asked] == [0.0, 2.0, 4.0, 5.0]
    heights = fewer_steps(list(drops), list(drops.values()), np.array(asked))
    assert [score.after(share).mean for share in asked] == heights.tolist()


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
    """479 training examples: 30 % held out, the rest trained on, no test example."""
    held, data = objective.held, objective.task.data
    assert (len(held), len(data.train)) == (144, 335)
    rows = [{x.tobytes() for x in examples.x} for examples in (held, data.train, data.test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]


class Twin:
    """Central training in plain PyTorch with the settings of the toy experiment."""

    def __init__(self, objective: Objective, batch_size: int = 16) -> None:
        self.data, self.held, self.batch_size = objective.task.data, objective.held, batch_size
        self.statistics = objective.statistics
        self.module = copy.deepcopy(objective.task.module).train()

    def inputs(self, examples: Examples, indices: np.ndarray | slice) -> Tensor:
        mean, std = (float(v[0]) for v in (self.data.mean, self.data.std))
        return (torch.tensor(examples.x[indices], dtype=torch.float32) - mean) / std

    def train(self, order: np.ndarray, n_steps: int) -> None:
        optimiser = torch.optim.SGD(self.module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.001)
        for batch in np.split(order, range(self.batch_size, len(order), self.batch_size))[:n_steps]:
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
    """An independent loop: ten steps of pre-training, then one, two and three from either snapshot, two seeds
    each.
    """
    n_examples = len(objective.task.data.train)
    twin = Twin(objective)
    snapshots = [copy.deepcopy(twin.module)]
    twin.train(Rngs(1)("pre-training batches").permutation(n_examples), 10)
    snapshots.append(twin.module)
    expected: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for s, snapshot in enumerate(snapshots):
        for r in range(2):
            order = Rngs(1, (s, r))("search batches").permutation(n_examples)
            for n_steps, drops in expected.items():
                twin.module = copy.deepcopy(snapshot)
                before = twin.loss()
                twin.train(order, n_steps)
                drops.append(before - twin.loss())
    score = objective.score(objective.task.structure.full_counts(), "search")
    assert list(score.by_share) == [1 / 3, 2 / 3, 1.0]
    for after, drops in zip(score.by_share.values(), expected.values(), strict=True):
        assert [d for row in after.drops for d in row] == pytest.approx(drops, abs=2e-5)
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
    without = {**WHOLE_TOY, "model": model, "method": {"name": "distreal", "drop_linear": False}}
    with pytest.raises(InputError, match=r"OnlyLinear has no layer that may be thinned"):
        make_objective(search, parse_experiment(without, source="toy"))
    objective = make_objective(search, parse_experiment({**WHOLE_TOY, "model": model}, source="toy"))
    assert objective.space.uniform(3) == [(6,), (3,), (1,)]


@pytest.mark.parametrize("data", by_default(["pooled", "clients"], ["clients"]))
def test_measuring_on_the_way_changes_nothing(tmp_path: Path, data: str) -> None:
    """The score after all steps is the same to the bit as without measurements before; that after a share of
    them is the score of a search of so many steps.
    """
    settings = {"data": data, "steps": 8, "snapshots": [0, 5], "shares": [0.125, 0.25, 0.5, 1.0]}
    objective = make_objective(*tiny_search(tmp_path, **settings))
    alone = make_objective(*tiny_search(tmp_path, **{**settings, "shares": [1.0]}))
    for counts in ((2, 4, 8), (4, 8, 16)):
        for stream in STREAMS:
            score = objective.score(counts, stream)
            assert score.drops == alone.score(counts, stream).drops
    score = objective.score((2, 4, 8), "search")
    assert [share for share, _ in score.fewer] == [0.125, 0.25, 0.5]
    assert score.by_share[1.0].drops == score.drops
    for share, after in score.fewer:
        short = make_objective(*tiny_search(tmp_path, **{**settings, "steps": int(8 * share)}))
        assert after.drops == short.score((2, 4, 8), "search").drops


def test_the_full_network_is_measured_more_often(tmp_path: Path) -> None:
    """Of 8 steps after 8 / sqrt(2)^i: 8, 5.7, 4, 2.8, 2, 1.4, 1 and less, rounded, at least one."""
    objective = make_objective(*tiny_search(tmp_path, steps=8, snapshots=[0], shares=[0.125, 0.25, 0.5, 1.0]))
    score = objective.score((4, 8, 16), "search")
    assert [8 * share for share in score.by_share] == [1, 2, 3, 4, 6, 8]
    assert [8 * share for share in objective.score((4, 8, 15), "search").by_share] == [1, 2, 4, 8]


def test_batches_of_clients(tmp_path: Path) -> None:
    """Each batch is of one client, without repeats, and all of it where it holds fewer than a batch; clients
    come in proportion to their examples, within five standard deviations of a binomial.
    """
    objective = make_objective(*tiny_search(tmp_path, snapshots=[0], batch_size=30))
    split, n = objective.task.split, 4000
    owners = {int(i): client for client in range(len(split)) for i in split[client]}
    seen = np.zeros(len(split))
    assert split.sizes.min() < 30 < split.sizes.max()
    for batch in objective._batches(n, np.random.default_rng(1)):
        (client,) = {owners[int(i)] for i in batch}
        assert len(set(batch.tolist())) == len(batch) == min(30, split.sizes[client])
        seen[client] += 1
    share = split.sizes / split.sizes.sum()
    assert (np.abs(seen - n * share) < 5 * np.sqrt(n * share * (1 - share))).all()


def test_clients_are_those_of_the_experiment(tmp_path: Path) -> None:
    """With the share that its runs hold out themselves."""
    search, experiment = tiny_search(tmp_path, snapshots=[0], validation=0.2)
    dataset = experiment.dataset.model_copy(update={"validation": 0.2})
    split = build(experiment.model_copy(update={"dataset": dataset})).split
    assert (make_objective(search, experiment).task.split.order == split.order).all()
