"""Client-rounds per second of the simulated clock alone (`run --no-training`), many at once and one by one.

    python benchmarks/clock.py [--rounds 1000] [--repeats 3] [--json FILE]

The digits dealt out to 100,000 clients (partition bootstrap, 20 examples each, 3 mini-batches), 100 a round.
Timed is all that a run does after it has started: cohorts, capacities, schedules, tables on the disk. `one by
one` asks `train` for every client, as the clock does for methods that do not say what their clients choose
from, in a hundredth of the rounds. Both ways alternate, and every rate is the best of the repeats.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from distreal_sim.base.process import prepare_process
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.simulation.clock.rounds import TimedFleet, run_clock
from distreal_sim.simulation.rounds import Progress, Simulation, simulate, start
from distreal_sim.simulation.run_directory import RunDirectory

FLEET: dict[str, Any] = {
    "name": "clock",
    "seed": 1,
    "deadline_s": 10.0,
    "n_clients": 100_000,
    "clients_per_round": 100,
    "dataset": {"name": "digits"},
    "partition": {"name": "bootstrap", "examples": 20},
    "model": {"name": "small_cnn"},
    "local": {"epochs": 1, "batch_size": 8},
    "checkpoint_every": 1000,
}

PROFILES: dict[str, dict[str, Any]] = {
    "drawn once": {"name": "uniform", "low": 0.1, "high": 2.0},
    "drawn twice a round": {
        "name": "uniform",
        "low": 0.1,
        "high": 1.0,
        "jitter": 0.5,
        "changes_per_round": 2,
    },
    "markov, 2 changes a round": {
        "name": "markov",
        "levels": [0.03, 0.1, 0.3, 1.0, 3.0],
        "changes_per_round": 2,
    },
}

METHODS = ("fedavg", "heterofl", "distreal")

GOAL = 200_000

Play = Callable[[Experiment, Task, Progress, RunDirectory], object]


def at_once(experiment: Experiment, task: Task, progress: Progress, recorder: RunDirectory) -> object:
    return run_clock(experiment, task, progress, recorder)


def one_by_one(experiment: Experiment, task: Task, progress: Progress, recorder: RunDirectory) -> object:
    return simulate(Simulation(experiment, task, TimedFleet(task, experiment.method), recorder), progress)


def seconds(play: Play, experiment: Experiment, task: Task, folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of a run after its start."""
    directory = RunDirectory(folder / str(time.perf_counter_ns()), experiment, resume=False, training=False)
    try:
        progress, _ = directory.resume(start(experiment, task))
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        play(experiment, task, progress, directory)
        return time.perf_counter() - wall_s, time.process_time() - cpu_s
    finally:
        directory.close()


def measure(method: str, profile: str, rounds: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Client-rounds per second; one by one in a hundredth of the rounds."""
    plain = {**FLEET, "method": method, "profile": PROFILES[profile]}
    record: dict[str, Any] = {"method": method, "profile": profile, "rounds": rounds}
    task = replace(build(parse_experiment({**plain, "rounds": rounds}, source="clock")), computes=False)
    for _ in range(repeats):
        for name, play, n in (
            ("at_once", at_once, rounds),
            ("one_by_one", one_by_one, max(1, rounds // 100)),
        ):
            experiment = parse_experiment({**plain, "rounds": n}, source="clock")
            taken = seconds(play, experiment, task, folder)
            for unit, took_s in zip(("wall", "cpu"), taken, strict=True):
                rate = n * experiment.clients_per_round / took_s
                record[f"{name}_per_{unit}_s"] = max(rate, record.get(f"{name}_per_{unit}_s", 0.0))
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="all measurements")
    options = parser.parse_args()
    prepare_process()
    table = Table(title=f"client-rounds per second of the clock alone (at least {GOAL:,} wanted)")
    for head in ("method", "capacity", "at once", "per CPU s", "one by one", "per CPU s", "ratio (CPU)"):
        table.add_column(head, justify="left" if head in ("method", "capacity") else "right")
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:
            for profile in PROFILES:
                record = measure(method, profile, options.rounds, options.repeats, Path(folder))
                records.append(record)
                rates = [
                    record[f"{name}_per_{unit}_s"]
                    for name in ("at_once", "one_by_one")
                    for unit in ("wall", "cpu")
                ]
                table.add_row(
                    method, profile, *(f"{rate:,.0f}" for rate in rates), f"{rates[1] / rates[3]:.0f}"
                )
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
