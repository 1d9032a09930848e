"""The widest sub-network trained so far: which one it is, and what testing it means."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import play
from scores import loss_and_hits
from toys import whole_toy

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import State
from distreal_sim.client.task import Task
from distreal_sim.inspection.console import summary
from distreal_sim.run import run
from distreal_sim.simulation.evaluation import statistics_shard, statistics_shards
from distreal_sim.simulation.rows import RoundRow
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.statistics import mean_statistics
from distreal_sim.thinning.structure import kept_elements

SLOW: dict[str, Any] = {"name": "constant", "level": 0.3}
"""Half of the channels of `small_cnn` cost about a quarter: the level 1/2 fits, the full width does not."""


def dense(task: Task, state: State, counts: tuple[int, ...]) -> torch.nn.Module:
    """The sub-network as a network of its own."""
    small = shrink(task.module, task.structure, counts)
    kept = first_mask(task.structure, counts).kept
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            index = kept_elements(task.structure.tensors[name], kept)
            parameter.copy_(torch.from_numpy(state.arrays[name][index]))
    return small


def test_columns_are_those_of_the_cut_network() -> None:
    """Half width trains only: the columns equal the accuracy and the loss (1e-5) of a physically smaller
    network whose batch norm was run, with cumulative averages, over the batches of the statistics.
    """
    got = play(2, method={"name": "heterofl"}, profile=SLOW)
    task, state, row = got.task, got.states[-1], got.rounds[-1]
    widest = tuple(state.extras["widest"].tolist())
    assert widest == (2, 4, 8)
    small = dense(task, state, widest)
    for part in small.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
            part.reset_running_stats()
    cohort = [r.client_id for r in got.clients if r.round == 2]
    with torch.no_grad():
        for clients, draws in statistics_shards(task, cohort):
            for client, draw in zip(clients, draws, strict=True):
                small.train()(batch_of(task, 2, client, draw))
        x, y = task.batch(task.data.test, slice(None))
        outputs = small.eval()(x)
    assert row.submodel_accuracy == int((outputs.argmax(1) == y).sum()) / len(y)
    assert row.submodel_loss == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert row.submodel_accuracy > row.test_accuracy, "what nobody trained only disturbs"


def batch_of(task: Task, round_number: int, client: int, draw: int) -> torch.Tensor:
    """The inputs of one statistics batch, as the evaluation's own documentation says it is drawn."""
    indices = task.split[client]
    order = Rngs(task.seed, (round_number, client))("statistics", draw).permutation(len(indices))
    return task.batch(task.data.train, indices[order[: task.local.batch_size]])[0]


def test_widest_grows_and_never_shrinks() -> None:
    """Round by round the largest channels any client has trained so far, group by group, and nothing else."""
    profile = {"name": "markov", "levels": [0.01, 0.05, 0.1, 0.3], "changes_per_round": 1}
    got = play(5, method={"name": "heterofl"}, profile=profile, clients_per_round=2)
    keep_rates = {(1, 1, 1): 0, (1, 1, 2): 0, (1, 2, 4): 0, (2, 4, 8): 0, (4, 8, 16): 0}
    full = np.array(got.task.structure.full_counts())
    by_rate = {float(np.mean(np.array(c) / full)): c for c in keep_rates}
    so_far = np.zeros(3, int)
    for number, state in enumerate(got.states[1:], 1):
        for row in got.clients:
            if row.round == number and row.status != "dropped":
                so_far = np.maximum(so_far, by_rate[row.mean_keep_rate])
        assert state.extras["widest"].tolist() == so_far.tolist()
    assert got.states[1].extras["widest"].tolist() != so_far.tolist()


def test_at_full_width_the_columns_are_the_same() -> None:
    profile = {"name": "constant", "level": math.inf}
    (row,) = play(1, method={"name": "heterofl"}, profile=profile).rounds
    assert (row.submodel_accuracy, row.submodel_loss) == (row.test_accuracy, row.test_loss)
    assert row.test_accuracy is not None


@pytest.mark.parametrize("method", ["fedavg", "small", "distreal", "federated_dropout"])
def test_empty_for_methods_without_prefixes(method: str) -> None:
    (row,) = play(1, method={"name": method}).rounds
    assert (row.submodel_accuracy, row.submodel_loss) == (None, None)


def test_empty_before_anybody_trained() -> None:
    """Nobody fits a level in round 1: no channel has been trained."""
    got = play(1, method={"name": "heterofl"}, profile={"name": "constant", "level": 1e-4})
    assert got.rounds[0].n_dropped == 5
    assert got.states[1].extras == {}
    assert got.rounds[0].submodel_accuracy is None


def test_the_file_has_the_columns_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    """The widest sub-network is in the checkpoint: a run interrupted after round 2 ends in the same bytes."""
    experiment = whole_toy(method={"name": "heterofl"}, profile=SLOW, evaluation={"every": 2})
    run(experiment, tmp_path / "whole", grid="serial")

    def interrupt(row: RoundRow) -> None:
        if row.round == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "cut", grid="serial", callbacks=[interrupt])
    run(experiment, tmp_path / "cut", grid="serial", resume=True)
    whole, cut = ((tmp_path / d / "rounds.csv").read_bytes() for d in ("whole", "cut"))
    assert whole == cut
    with (tmp_path / "whole" / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(r["submodel_accuracy"]) for r in rows] == [False, True, False, True]
    assert [bool(r["submodel_loss"]) for r in rows] == [False, True, False, True]
    whole, part = (f"{float(rows[-1][key]):.4f}" for key in ("test_accuracy", "submodel_accuracy"))
    said = summary(tmp_path / "whole")
    assert said.endswith(f"test accuracy {whole}, {part} of the largest part that was trained")


def test_statistics_do_not_depend_on_the_order_of_the_batches() -> None:
    """The mean over batches of each batch's own mean and unbiased variance, here of the first convolution.

    Clients in another order: the same statistics to 1e-6. The evaluation with given statistics does not
    depend on how many examples are tested at a time; with each batch's own it does.
    """
    whole = {"dataset": {"name": "digits"}}
    got = play(1, profile={"name": "constant", "level": math.inf}, method={"name": "fedavg"}, **whole)
    task, arrays = got.task, got.states[-1].arrays
    clients, draws = [1, 4, 7, 2], [0, 0, 1, 0]
    forth = statistics_shard(task, arrays, 3, clients, draws)
    back = statistics_shard(task, arrays, 3, clients[::-1], draws[::-1])
    for name, value in forth.items():
        np.testing.assert_allclose(value, back[name], rtol=1e-6, atol=1e-7)
    task.engine.load(arrays)
    weight = torch.from_numpy(arrays["conv1.conv.weight"])
    outputs = [
        F.conv2d(batch_of(task, 3, c, d), weight, padding=1) for c, d in zip(clients, draws, strict=True)
    ]
    means = np.mean([o.mean((0, 2, 3)).numpy() for o in outputs], axis=0)
    variances = np.mean([o.var((0, 2, 3), unbiased=True).numpy() for o in outputs], axis=0)
    statistics = mean_statistics({k: v for k, v in forth.items() if k != "n"}, int(forth["n"]))
    np.testing.assert_allclose(statistics["conv1.norm.running_mean"], means, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["conv1.norm.running_var"], variances, rtol=1e-4)

    def loss(size: int, given: dict[str, np.ndarray]) -> float:
        batches = [task.batch(task.data.test, slice(i, i + size)) for i in range(0, 360, size)]
        return sum(loss_and_hits(task.engine, given, *batch)[0] for batch in batches)

    assert loss(360, statistics) == pytest.approx(loss(8, statistics), rel=1e-5)
    assert abs(loss(360, {}) - loss(8, {})) > 1
