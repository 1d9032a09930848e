"""The score of a dropout vector in a fleet."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Update
from distreal_sim.search import fleet as search_fleet
from distreal_sim.search.fleet import cohort
from distreal_sim.search.objective import Objective, make_objective

from .test_objective import Twin
from .toy_search import tiny_search

FULL = (4, 8, 16)


def fleet(folder: Path, **changes: object) -> Objective:
    settings = {"score": "federated", "snapshots": [0], "shares": [1 / 3, 1.0], "cohort": 3, "weak": 0.7}
    return make_objective(*tiny_search(folder, **{**settings, **changes}))


def test_fewer_full_steps_are_plain_federated_averaging(tmp_path: Path) -> None:
    """An independent loop: two weak clients hand in one, two or three full steps, a strong one three; the
    mean weighs by examples. The score is the loss of the strong one's model minus that of the mean.
    """
    objective = fleet(tmp_path, batch_size=4)
    twin, split = Twin(objective, batch_size=4), objective.task.split
    start = copy.deepcopy(twin.module)
    expected: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for repeat in range(2):
        weak, strong = cohort(objective, Rngs(1, (0, repeat))("search cohort"))
        assert (len(weak), len(strong), len({*weak, *strong})) == (2, 1, 3)

        def trained(client: int, n_steps: int, repeat: int = repeat) -> dict[str, torch.Tensor]:
            rng, own = Rngs(1, (0, repeat, client))("search batches"), split[client]
            assert len(own) >= 12, "three whole batches in the first pass"
            twin.module = copy.deepcopy(start)
            twin.train(own[rng.permutation(len(own))], n_steps)
            return {name: value.detach() for name, value in twin.module.named_parameters()}

        def loss_of_mean(steps: dict[int, int]) -> float:
            sizes = {client: len(split[client]) for client in steps}
            parts = {client: trained(client, n) for client, n in steps.items()}
            twin.module = copy.deepcopy(start)
            with torch.no_grad():
                for name, value in twin.module.named_parameters():
                    total = sum(sizes[c] * parts[c][name] for c in steps)
                    value.copy_(total / sum(sizes.values()))
            return twin.loss()

        alone = loss_of_mean(dict.fromkeys(strong, 3))
        for n, drops in expected.items():
            drops.append(alone - loss_of_mean({**dict.fromkeys(strong, 3), **dict.fromkeys(weak, n)}))
    score = objective.score(FULL, "search")
    assert list(score.by_share) == [1 / 3, 2 / 3, 1.0]
    for after, drops in zip(score.by_share.values(), expected.values(), strict=True):
        assert [d for row in after.drops for d in row] == pytest.approx(drops, abs=2e-5)
    assert len({round(drop, 6) for drops in expected.values() for drop in drops}) == 6


def test_filters_that_no_weak_client_kept_are_those_of_the_others(tmp_path: Path) -> None:
    """One weak client, one strong one, a step each: the weak one keeps 1 of 4 filters, so that the merged
    first layer differs from the strong client's in exactly that filter.
    """
    objective = fleet(tmp_path, cohort=2, weak=0.1, steps=1, shares=[1.0], repeats=2)
    task, layer = objective.task, "conv1.conv.weight"
    objective.score((1, 8, 16), "search")
    merged = task.engine.export()[layer]
    _, (strong,) = cohort(objective, Rngs(1, (0, 1))("search cohort"))
    rngs = Rngs(1, (0, 1, strong))
    batch = task.split[strong][rngs("search batches").permutation(len(task.split[strong]))[:16]]
    task.engine.load(objective.snapshots[0])
    list(objective.short_training(FULL, [batch], rngs, "search"))
    alone = task.engine.export()[layer]
    differs = [bool((np.abs(a - b) > 1e-7).any()) for a, b in zip(merged, alone, strict=True)]
    assert sum(differs) == 1


def test_strong_clients_train_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of cohorts of three one client is strong: with two repeats two vectors cost 2 x 2 x 2 trainings of weak
    clients and 2 of strong ones, or 4 where nothing may be kept; the scores are the same.
    """
    trained: list[int] = []
    updates = search_fleet.updates

    def counting(*args: Any) -> Iterator[Update]:
        trained.append(args[4])
        return updates(*args)

    monkeypatch.setattr(search_fleet, "updates", counting)
    scores = []
    for n_bytes, n_trained in ((search_fleet.KEPT_BYTES, 10), (0, 12)):
        monkeypatch.setattr(search_fleet, "KEPT_BYTES", n_bytes)
        objective = fleet(tmp_path)
        scores.append([objective.score(counts, "search") for counts in (FULL, (1, 2, 4))])
        assert len(trained) == n_trained
        trained.clear()
    assert scores[0] == scores[1]


def test_the_cohort_is_the_experiments(tmp_path: Path) -> None:
    """0.05, 3.5, 2.5 and 4.95 of five clients are 0, 4, 2, 5 in whole numbers; one of either is left."""
    search, experiment = tiny_search(tmp_path, score="federated", snapshots=[0])
    assert search.cohort == experiment.clients_per_round == 5
    assert tiny_search(tmp_path)[0].cohort is None
    objective = make_objective(search, experiment)
    for share, n_weak in ((0.01, 1), (0.7, 4), (0.5, 2), (0.99, 4)):
        settings = search.model_copy(update={"weak": share})
        weak, strong = cohort(replace(objective, search=settings), np.random.default_rng(1))
        assert (len(weak), len(strong)) == (n_weak, 5 - n_weak)


def test_more_clients_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cohort \(999\) must not exceed the number of clients \(\d+\)"):
        fleet(tmp_path, cohort=999)
