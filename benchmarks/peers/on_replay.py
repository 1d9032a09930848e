"""The ideal of workload e: `benchmarks/_ideal.py` with the widths that our run's clients draw.

Runs in the product's environment. What each client trains is planned by the product without training; the
training itself imports nothing of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from on_ours import experiment
from workloads import Record, options

from distreal_sim.client.batches import batch_sizes
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.run import run
from distreal_sim.simulation.evaluation import statistics_shards
from distreal_sim.submodels.widths import width_counts

IDEAL = Path(__file__).parent.parent / "_ideal.py"


def plan(planned: Experiment, clients: pd.DataFrame, processes: int) -> dict[str, Any]:
    """What `_ideal.py` reads, from the rows of clients.parquet."""
    task = build(planned)
    full = task.structure.full_counts()
    widths = planned.method.model_dump()["widths"]
    networks = [width_counts(task.structure, width, "ceil") for width in widths]
    keeps = np.array([np.mean(np.array(counts) / full) for counts in networks])
    rounds = []
    for number, rows in clients.groupby("round"):
        picked = []
        for row in rows.itertuples():
            width = int(np.abs(keeps - row.mean_keep_rate).argmin())
            picked.append((row.macs, [(n, width) for n in batch_sizes(row.n_examples, task.local)]))
        longest_first = [steps for _, steps in sorted(picked, key=lambda pair: -pair[0])]
        statistics = None
        if number % task.evaluation.every == 0 or number == planned.rounds:
            shards = statistics_shards(task, sorted(rows.client_id))
            drawn = [client for clients_, _ in shards for client in clients_]
            statistics = [min(len(task.split[c]), task.local.batch_size) for c in drawn]
        rounds.append({"clients": longest_first, "statistics": statistics})
    size = task.evaluation.batch_size
    return {
        "workers": processes,
        "n_classes": task.data.n_outputs,
        "shape": task.data.shape,
        "lr": 1e-3,  # a step costs the same at any rate, and random labels should not be learnt by heart
        "momentum": 0.0,
        "weight_decay": 0.0,
        "layout": "contiguous",
        "test_sizes": [min(size, len(task.data.test) - at) for at in range(0, len(task.data.test), size)],
        "networks": networks,
        "rounds": rounds,
    }


def main() -> None:
    """Plans, replays, reports."""
    given = options(__doc__)
    planned = experiment(given.name, given.workload, given.data)
    with tempfile.TemporaryDirectory() as folder:
        run(planned, Path(folder) / "run", training=False)
        clients = pd.read_parquet(Path(folder) / "run" / "clients.parquet")
        file = Path(folder) / "plan.json"
        work = plan(planned, clients, given.processes)
        work["rounds"].pop()  # everybody's last round is left out
        file.write_text(json.dumps(work))
        command = [sys.executable, str(IDEAL), str(file)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = json.loads(out)
    wall_s = (seconds["train_wall_s"] + seconds["evaluate_wall_s"]) / (given.workload.rounds - 2)
    Record("ideal", given.name).print(round_wall_s=wall_s)


if __name__ == "__main__":
    main()
