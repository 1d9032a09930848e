"""Run directories written by hand: round r lasts 30 s, offers 2e9 MACs, uses 1e9 and uploads 4e6 bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.results.directories import find_runs
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]

FRONT = Front(
    (
        Entry((0.5, 0.75), (2, 2), 300, 0.4),
        Entry((0.0, 0.25), (4, 6), 800, 0.7),
        Entry((0.0, 0.0), (4, 8), 1000, 0.8),
    ),
    model="0123456789abcdef",
    groups=("conv1", "conv2"),
    made={"how": "by hand"},
)
"""Three entries for two layers of 4 and 8 filters, which cost 30 %, 80 % and all of the full network."""


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write a run with one row per accuracy (None: not evaluated) and read it back.

    `rounds` and `clients` replace columns of `rounds.csv` and rows of `clients.parquet`. A run of `distreal`
    has the front FRONT.
    """

    def write(
        method: str,
        accuracies: list[float | None],
        seed: int = 1,
        rounds: dict[str, Any] | None = None,
        clients: list[dict[str, Any]] | None = None,
        **config: Any,
    ) -> Run:
        path = tmp_path / "runs" / f"{method}-{seed}-{len(list(tmp_path.glob('runs/*')))}"
        path.mkdir(parents=True)
        full = {"name": "toy", "seed": seed, "deadline_s": 30.0, "method": {"name": method}} | config
        (path / "config.yaml").write_text(yaml.safe_dump(full))
        (path / "run.json").write_text("{}")
        n = len(accuracies)
        columns = {
            "round": range(1, n + 1), "sim_s": [30.0 * r for r in range(1, n + 1)],
            "test_accuracy": accuracies, "test_loss": 1.0, "train_loss": 1.0,
            "n_selected": 4, "n_completed": 2, "n_partial": 1, "n_dropped": 1,
            "macs": 10**9, "macs_available": 2e9, "download_bytes": 4 * 10**6, "upload_bytes": 4 * 10**6,
        }  # fmt: skip
        pd.DataFrame(columns | (rounds or {})).to_csv(path / "rounds.csv", index=False)
        client = {
            "round": 1, "client_id": 7, "status": "completed", "n_examples": 32,
            "n_steps_planned": 4, "n_steps_done": 4, "macs": 25 * 10**7, "macs_available": 5e8,
            "sim_s": 15.0, "mean_keep_rate": 0.5, "download_bytes": 10**6, "upload_bytes": 10**6,
            "train_loss": 1.0, "download_s": 0.0, "compute_s": 15.0,
        }  # fmt: skip
        pd.DataFrame([client | row for row in clients or [{}]]).to_parquet(path / "clients.parquet")
        scores = {"round": n, "client_id": [0, 1, 2, 3], "device_class": ["slow", "middle", "fast", "fast"]}
        own = pd.DataFrame({**scores, "n_examples": 9, "accuracy": [0.2, 0.5, 0.6, 0.9], "loss": 1.0})
        own.to_csv(path / "client_scores.csv", index=False)
        by_class = pd.DataFrame(
            {"round": [1, 1, 1, n, n, n], "label": [0, 1, 2] * 2, "n_examples": [5, 4, 0] * 2}
        )
        by_class = by_class.assign(n_predicted=3, accuracy=[0.2, 0.6, None, 0.8, 0.5, None])
        by_class.to_csv(path / "class_scores.csv", index=False)
        if method == "distreal":
            FRONT.save(path / "front.json")
        return find_runs([path])[0]

    return write
