"""One toy task and few fixtures: real objects, small."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest
import torch

from distreal_sim.config import Experiment, parse_experiment

torch.set_num_threads(1)

TOY: dict[str, Any] = {
    "name": "toy",
    "seed": 7,
    "rounds": 4,
    "deadline_s": 10.0,
    "n_clients": 12,
    "clients_per_round": 5,
    "dataset": {"name": "digits"},
    "partition": {"name": "dirichlet", "alpha": 1.0},
    "model": {"name": "small_cnn", "width": 4},
    "local": {"epochs": 1, "batch_size": 16, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.001},
    "profile": {"name": "markov", "levels": [0.1, 0.3, 1.0], "changes_per_round": 3},
    "method": {"name": "distreal"},
    "checkpoint_every": 2,
}
"""Twelve unequal clients learn the digits for four rounds; a run takes less than a second."""


def toy(**changes: Any) -> Experiment:
    """The toy experiment with some top-level keys replaced."""
    return parse_experiment({**TOY, **changes}, source="toy")


@pytest.fixture
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is not given."""
    folder = os.environ.get("DISTREAL_SIM_TEST_DATA")
    if not folder:
        pytest.skip("DISTREAL_SIM_TEST_DATA names no folder with real data sets")
    return Path(folder)
