"""Predicted and measured seconds of the clients of a round, by the device file of this machine.

python experiments/calibration/whole_run.py device.yaml whole_run.csv

Clients of the demo's experiment train as in a run, loading and exporting the model included. Measured is the
least processor time of the thread over some repeats of the same round.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd

import distreal_sim as ds
from distreal_sim.base.process import prepare_process
from distreal_sim.client.client import do
from distreal_sim.client.messages import Round, State
from distreal_sim.config.build import build

CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"
METHODS = ("fedavg", "heterofl", "distreal")
REPEATS = 30
TIMES = 3
"""How often all is measured, one after the other: the speed of a machine drifts."""


def main() -> None:
    """Writes a row for each client."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("device", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    prepare_process()
    rows = [
        {"time": number, **row}
        for number in range(1, TIMES + 1)
        for method in METHODS
        for row in of_method(method, options.device)
    ]
    pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.5g", lineterminator="\n")


def of_method(name: str, device: Path) -> list[dict[str, object]]:
    """Its clients of one round."""
    changes = {"cost": str(device), "method": {"name": name}, "overrun": "wait"}
    experiment = ds.load_experiment(CONFIG, **changes)
    task, method = build(experiment), experiment.method
    assert task.charges is not None
    assert task.charges.macs_per_s is not None
    state = method.start(task, State(task.engine.export(), {}))
    now = Round(1, 1, 0.0, experiment.local.lr, tuple(range(experiment.clients_per_round)))
    jobs = method.plan(task, state, now)
    least = [float("inf")] * len(jobs)
    for _ in range(REPEATS + 1):  # kernels are compiled in the first one
        updates = []
        for place, job in enumerate(jobs):
            begun = time.thread_time()
            updates.append(do(task, method, job))
            least[place] = min(least[place], time.thread_time() - begun)
    return [
        {
            "method": name,
            "client": update.facts.client_id,
            "steps": update.facts.n_steps_done,
            "macs": update.facts.macs,
            "measured_s": seconds,
            "predicted_s": update.facts.metrics["charged_macs"] / task.charges.macs_per_s,
        }
        for update, seconds in zip(updates, least, strict=True)
        if update.facts.n_steps_done
    ]


if __name__ == "__main__":
    main()
