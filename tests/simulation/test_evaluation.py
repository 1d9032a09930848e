"""Testing in shards: every example once, never one alone, whoever computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from rounds import Rows, play, round_of
from toys import toy, toy_fleet, whole_toy

from distreal_sim.client.messages import Arrays, Facts, Status
from distreal_sim.config.build import build
from distreal_sim.simulation.evaluation import statistics_shards, test_shard, test_shards
from distreal_sim.simulation.rounds import Simulation, start

test_shards.__test__ = test_shard.__test__ = False  # type: ignore[attr-defined]  # no tests, in spite of their names


@pytest.mark.parametrize(
    ("batch_size", "bounds"),
    [(500, [0, 360]), (90, [0, 180, 360]), (359, [0, 360]), (60, [0, 120, 240, 360]), (179, [0, 358, 360])],
)
def test_shards_cover_the_test_set(batch_size: int, bounds: list[int]) -> None:
    """Two batches a shard. 360 examples in batches of 359 leave one over, which joins them."""
    task, _ = toy_fleet(whole_toy(evaluation={"batch_size": batch_size}))
    assert test_shards(task) == bounds


def test_one_example_left_over_is_tested_with_batch_statistics() -> None:
    """Batch norm over one example would fail; 359 + 1 are one batch of 360, as with batch_size 360."""
    results = []
    for batch_size in (359, 360):
        evaluation = {"batch_size": batch_size, "batch_norm": "batch"}
        experiment = whole_toy(model={"name": "femnist_cnn", "norm": "batch"}, evaluation=evaluation)
        task, fleet = toy_fleet(experiment)
        found = fleet.evaluate(start(experiment, task).state.arrays, {}, 1)
        results.append(task.scoring.values(found))
    assert results[0] == results[1]


def test_the_sum_over_shards_is_the_whole() -> None:
    """With given statistics the loss does not depend on how the test set is cut."""
    task, fleet = toy_fleet(whole_toy())
    arrays = start(whole_toy(), task).state.arrays
    statistics = fleet.statistics(arrays, 1, [0, 1, 2])
    whole = test_shard(task, arrays, statistics, 0, 360)
    parts = [test_shard(task, arrays, statistics, a, a + 90) for a in range(0, 360, 90)]
    joined = task.scoring.join(parts)
    np.testing.assert_allclose(joined["loss"], whole["loss"], rtol=1e-5)
    assert joined["accuracy"].tolist() == whole["accuracy"].tolist()


def test_the_last_round_is_always_tested() -> None:
    """Every second round, and the fifth, which is the last."""
    played = play(5, evaluation={"every": 2, "statistics_batches": 1}, method={"name": "fedavg"})
    assert [row.round for row in played.rounds if row.test_accuracy is not None] == [2, 4, 5]


def test_statistics_take_the_clients_in_turn() -> None:
    """20 batches of 3 clients: each client's 1st, each client's 2nd, ...; five to a shard, four shards."""
    task, _ = toy_fleet(whole_toy(evaluation={}))
    shards = statistics_shards(task, [2, 5, 7])
    assert [len(clients) for clients, _ in shards] == [5, 5, 5, 5]
    assert shards[0] == ([2, 5, 7, 2, 5], [0, 0, 0, 1, 1])


def test_clients_with_one_example_have_no_statistics() -> None:
    """Four batches of the other two clients in turn; none where nobody has two examples."""
    split: Any = [np.arange(1), np.arange(5), np.arange(2)]
    task = dataclasses.replace(build(toy(evaluation={"statistics_batches": 4})), split=split)
    assert statistics_shards(task, [0, 1, 2]) == [([1, 2, 1, 2], [0, 0, 1, 1])]
    assert statistics_shards(task, [0]) == []


class Asked:
    """Clients that note whose batches the statistics are estimated on."""

    def __init__(self) -> None:
        self.who: list[list[int]] = []

    def statistics(self, arrays: Arrays, number: int, who: Sequence[int], part: object = None) -> Arrays:
        self.who.append(list(who))
        return {}

    def evaluate(self, *args: object) -> dict[str, np.ndarray]:
        return {"accuracy": np.array([1.0, 2.0]), "loss": np.array([2.0, 2.0])}


def test_statistics_come_from_clients_whose_work_counts() -> None:
    """Completed and partial ones; where nobody's work counts, the whole cohort's."""
    experiment = whole_toy(method={"name": "fedavg"})
    task, asked = build(experiment), Asked()
    sim = Simulation(experiment, task, asked, Rows())  # type: ignore[arg-type]
    state, now = start(experiment, task).state, round_of([3, 5, 8, 9])

    def facts(client_id: int, status: Status) -> Facts:
        return Facts(client_id, status, 1, 1, 1, 1, 1.0, 1.0, 1, 1, 1.0)

    mixed = [facts(3, "completed"), facts(5, "dropped"), facts(8, "partial"), facts(9, "diverged")]
    for given in (mixed, [facts(8, "partial")], [facts(5, "dropped"), facts(9, "diverged")]):
        assert sim.test(state, now, given, {}) is not None
    assert asked.who == [[3, 8], [8], [3, 5, 8, 9]]
