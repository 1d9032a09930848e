"""distreal-sim: config in, run directory out, as users run it, but for checkpoints.

There is one at the end. By default there is one every 10 rounds; none of the others writes any.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from workloads import SEED, Record, Workload, options

from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.run import run

MODELS = {
    "b": {"name": "pfl_cnn", "pool_dropout": 0, "unit_dropout": 0},
    "d": {"name": "logistic"},
    "e": {"name": "femnist_cnn", "norm": "batch"},
}
METHODS = {
    "e": {"name": "heterofl", "assignment": "dynamic", "widths": [1.0, 0.5, 0.25]},
}


def experiment(name: str, workload: Workload, folder: Path, precision: str = "float32") -> Experiment:
    """FedAvg, or (e) HeteroFL, without deadlines: every client has unlimited capacity."""
    config: dict[str, Any] = {
        "name": f"workload_{name}",
        "seed": SEED,
        "rounds": workload.rounds,
        "deadline_s": 1,
        "checkpoint_every": workload.rounds,
        "n_clients": None if name == "e" else workload.n_clients,
        "clients_per_round": workload.clients_per_round,
        "dataset": {"name": workload.dataset, "data_dir": str(folder)},
        "partition": {"name": "by_writer" if name == "e" else "iid"},
        "model": MODELS[name],
        "local": {
            "epochs": 1,
            "batch_size": workload.batch_size,
            "lr": workload.lr,
            "precision": precision,
        },
        "profile": {"name": "constant", "level": float("inf")},
        "overrun": "wait",
        "merge": {"weight": "clients" if name == "e" else "examples"},
        "method": METHODS.get(name, {"name": "fedavg"}),
        "evaluation": {"every": workload.every, "batch_size": workload.test_batch},
    }
    return parse_experiment(config, source="workload")


def main() -> None:
    """One run into a temporary directory."""
    given = options(__doc__)
    who = f"distreal-sim, {given.processes} workers" + ", bfloat16" * (given.precision == "bfloat16")
    record = Record(who, given.name)
    with tempfile.TemporaryDirectory() as folder:
        run(
            experiment(given.name, given.workload, given.data, given.precision),
            Path(folder) / "run",
            n_workers=given.processes,
            callbacks=[lambda row: record.end_round()],
        )
        with (Path(folder) / "run" / "rounds.csv").open() as file:
            last = list(csv.DictReader(file))[-1]
    record.tested(float(last["test_loss"]), float(last["test_accuracy"]))
    record.print()


if __name__ == "__main__":
    main()
