"""A search small enough for tests: real objects, a few short trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from toys import TOY

from distreal_sim.config import Experiment
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Search, load_search
from distreal_sim.search.space import Space
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Counts

TINY: dict[str, Any] = {
    "experiment": "toy.yaml",
    "score": "central",
    "snapshots": [0, 10],
    "steps": 3,
    "shares": [0.5, 1.0],
    "repeats": 2,
    "batch_size": 16,
    "population": 6,
    "generations": 4,
    "evaluations": 20,
    "reevaluation": 2,
    "smallest": 0.05,
}
"""Twenty vectors, four short trainings of three steps each: a second."""

EXPERIMENT: dict[str, Any] = {**TOY, "evaluation": {"statistics_batches": 4}}
"""The toy experiment; most of a score's time goes into the batch-norm statistics before its test."""

TABLES = ("evaluations.jsonl", "generations.csv", "reevaluation.jsonl")


def write_search(folder: Path, **changes: Any) -> Path:
    """Writes the experiment and the search, some keys replaced; returns the search's path."""
    (folder / "toy.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


def tiny_search(folder: Path, **changes: Any) -> tuple[Search, Experiment]:
    """The search and its experiment, some keys of the search replaced."""
    search, experiment, _ = load_search(write_search(folder, **changes))
    return search, experiment


def toy_space(*channels: int, smallest: float = 0.0, d_max: float = 0.9) -> Space:
    """1x1 convolutions of so many filters on 1x4x4 inputs, and a classifier of 2."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip((1, *channels), channels, strict=False):
        layers += [nn.Conv2d(n_in, n_out, 1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 2))
    structure = find_groups(network, torch.zeros(2, 1, 4, 4))
    return Space(structure, tuple(range(len(channels))), d_max, smallest)


ROOT_SHARES = (0.25, 0.5)
"""After which `roots` is measured, and after all steps."""


def roots(asked: Sequence[Counts]) -> Iterator[Score]:
    """Progress after a share of the steps: its root, times the channels kept of the first group."""
    for counts in asked:
        fewer = tuple((share, Score(((counts[0] * share**0.5,) * 2,))) for share in ROOT_SHARES)
        yield Score(((float(counts[0]),) * 2,), fewer)


def result(out: Path) -> dict[str, Any]:
    """Everything that a search found: the tables' bytes, the front without its wall time."""
    front = json.loads((out / "front.json").read_text())
    del front["made"]["wall_s"]
    return {"front": front, **{name: (out / name).read_bytes() for name in TABLES}}
