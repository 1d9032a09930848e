"""Scores of the global model on each client's own test examples, and their summary in rounds.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays
from distreal_sim.client.task import Task
from distreal_sim.recipe.metrics import Better
from distreal_sim.simulation.evaluation import bounds_of
from distreal_sim.thinning.statistics import outputs_in_test

PREFIX = "clients_"
"""Prefix of the columns of rounds.csv."""

CLASSES = ("slow", "middle", "fast")
"""Classes of devices: thirds of the tested clients by what their capacity offers in the first round."""

CLIENTS_PER_SHARD = 8
"""Clients per message."""

Row = Mapping[str, Any]
"""A row of client_scores.csv, by column."""


def tested_clients(task: Task) -> list[int]:
    """The clients that are tested, ascending: all that hold test examples, or as many as the config says,
    drawn once by the seed.
    """
    if task.own_tests is None:
        return []
    able = np.flatnonzero(task.own_tests.sizes > 0)
    wanted = task.evaluation.clients
    if wanted == "all" or wanted >= len(able):
        return [int(c) for c in able]
    drawn = Rngs(task.seed)("tested clients").permutation(len(able))[:wanted]
    return [int(c) for c in np.sort(able[drawn])]


def client_shards(task: Task) -> list[list[int]]:
    """The tested clients in parts that do not depend on the number of workers."""
    clients = tested_clients(task)
    return [clients[i : i + CLIENTS_PER_SHARD] for i in range(0, len(clients), CLIENTS_PER_SHARD)]


def client_shard(
    task: Task, arrays: Arrays, statistics: Arrays, client_ids: Sequence[int]
) -> dict[str, np.ndarray]:
    """Statistics of the scores (`Scoring.join`) of some clients, by `CLIENT/SCORE`."""
    assert task.own_tests is not None
    task.engine.load(arrays)
    found: dict[str, np.ndarray] = {}
    for client in client_ids:
        indices, parts = task.own_tests[client], []
        with Rngs(task.seed, (client,)).seeded_globals("testing"):
            bounds = bounds_of(0, len(indices), task.evaluation.batch_size)
            for first, last in pairwise(bounds):
                x, y = task.batch(task.data.train, indices[first:last])
                parts.append(task.scoring.statistics(outputs_in_test(task.engine, statistics, x), y))
        found |= {f"{client}/{name}": value for name, value in task.scoring.join(parts).items()}
    return found


def scores_of(task: Task, shards: Iterable[Arrays]) -> dict[int, dict[str, float]]:
    """The scores of each tested client, from the statistics of all shards."""
    found: dict[int, dict[str, np.ndarray]] = {}
    for shard in shards:
        for key, value in shard.items():
            client, _, name = key.partition("/")
            found.setdefault(int(client), {})[name] = value
    return {client: task.scoring.values(found[client]) for client in sorted(found)}


def device_classes(task: Task) -> dict[int, str]:
    """The class of each tested client's device; of equal devices those with the lower numbers are slower."""
    clients = tested_clients(task)
    offered = [task.devices.capacity(client, 0.0).offered(0.0, task.deadline_s) for client in clients]
    order = np.argsort(offered, kind="stable")
    return {clients[at]: CLASSES[3 * rank // len(clients)] for rank, at in enumerate(order.tolist())}


def rows_of_clients(task: Task, scores: Mapping[int, Mapping[str, float]]) -> list[Row]:
    """Rows of client_scores.csv, without the round."""
    assert task.own_tests is not None
    classes, sizes = device_classes(task), task.own_tests.sizes
    return [
        {"client_id": client, "device_class": classes[client], "n_examples": int(sizes[client]), **own}
        for client, own in scores.items()
    ]


def table_columns(scores: Iterable[str]) -> list[str]:
    """The columns of client_scores.csv."""
    return ["round", "client_id", "device_class", "n_examples", *scores]


def client_columns(scores: Iterable[str]) -> list[str]:
    """The columns of rounds.csv: of each score the mean over the clients, over the worst tenth of them, and
    over each class of devices.
    """
    parts = ("", "_worst", *(f"_{kind}" for kind in CLASSES))
    return [f"{PREFIX}{name}{part}" for name in scores for part in parts]


def score_columns(task: Task) -> tuple[list[str], list[str]]:
    """(names of the scores, columns of the clients' scores) in rounds.csv."""
    names = list(task.scoring.better)
    return names, client_columns(names) if task.own_tests is not None else []


def summary(rows: Sequence[Row], better: Mapping[str, Better]) -> dict[str, float | None]:
    """The values of `client_columns`. Each client counts alike; a score that a client's examples do not
    define (NaN) is left out. None where no client has it.
    """
    found: dict[str, float | None] = {}
    for name, direction in better.items():
        known = [row for row in rows if not math.isnan(row[name])]
        found[PREFIX + name] = _mean([row[name] for row in known])
        ranked = sorted((row[name] for row in known), reverse=direction == "lower")
        found[f"{PREFIX}{name}_worst"] = _mean(ranked[: math.ceil(len(ranked) / 10)])
        for kind in CLASSES:
            found[f"{PREFIX}{name}_{kind}"] = _mean([r[name] for r in known if r["device_class"] == kind])
    return found


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
