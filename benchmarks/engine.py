"""Wall time of a run against the ideal: the plain PyTorch training of the same shapes.

    python benchmarks/engine.py --data-dir DIR [--json FILE]

MNIST by writer with `femnist_cnn`, 10 clients a round, two workers, for each method. DIR holds MNIST/raw and
QMNIST/raw. Runs and ideals (`_ideal.py`) alternate, so that both see the same machine; the ratio is the
median over the pairs. The clock starts when round 1 is recorded: until then processes start, data is read and
kernels are prepared. It stops when the last round and its checkpoint are on the disk.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.schedule import Choice, Moment, Schedule, schedule
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.config.build import build
from distreal_sim.grids.ray.cluster import ray_instance
from distreal_sim.run import run
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.evaluation import statistics_shards
from distreal_sim.simulation.rows import RoundRow
from distreal_sim.thinning.structure import Counts

CONFIG = Path(__file__).parent.parent / "configs" / "mnist_writers.yaml"
IDEAL = Path(__file__).with_name("_ideal.py")
METHODS = ("fedavg", "small", "distreal")
TARGET = 1.25


@dataclass(frozen=True)
class Wall:
    """Wall seconds: start-up with round 1; the later rounds; their training; their evaluation.

    cpu_s: processor seconds of the later rounds, in all processes; a busy machine disturbs them less.
    """

    startup_wall_s: float
    wall_s: float
    train_wall_s: float
    evaluate_wall_s: float
    cpu_s: float


def replay(experiment: Experiment, task: Task) -> list[dict[int, Schedule]]:
    """The schedule of every client of every round, which depends on no arithmetic."""
    levels = experiment.method.levels(task)
    assert levels is not None
    (start, *_) = levels.levels

    def choose(moment: Moment) -> Choice:
        level = levels.now(moment, start)
        return Choice(level.counts, level.macs_per_example)

    def timed(client_id: int, start_s: float) -> Schedule:
        return schedule(
            batch_sizes(int(task.split.sizes[client_id]), task.local),
            task.devices.capacity(client_id, start_s),
            choose,
            start_s=0.0,
            end_s=task.deadline_s,
            overrun=task.overrun,
        )

    return [
        {
            c: timed(c, (number - 1) * task.deadline_s)
            for c in select_cohort(experiment, task, number, (number - 1) * task.deadline_s)[0]
        }
        for number in range(1, experiment.rounds + 1)
    ]


def ideal_plan(
    experiment: Experiment, task: Task, rounds: list[dict[int, Schedule]], workers: int
) -> dict[str, Any]:
    """What `_ideal.py` reads."""
    networks: dict[Counts, int] = {task.structure.full_counts(): 0}
    plans = []
    for number, schedules in enumerate(rounds, 1):
        computed = {c: s for c, s in schedules.items() if s.status != "dropped"}
        longest_first = sorted(computed.values(), key=lambda s: -sum(step.macs for step in s.steps))
        clients = [
            [(step.n_examples, networks.setdefault(step.choice.counts, len(networks))) for step in s.steps]
            for s in longest_first
        ]
        statistics = None
        if number % experiment.evaluation.every == 0 or number == experiment.rounds:
            shards = statistics_shards(task, list(computed) or list(schedules))
            statistics = [
                min(len(task.split[c]), max(2, task.local.batch_size))
                for clients_, _ in shards
                for c in clients_
            ]
        plans.append({"clients": clients, "statistics": statistics})
    n_test, size = len(task.data.test), task.evaluation.batch_size
    return {
        "workers": workers,
        "n_classes": task.data.n_outputs,
        "shape": task.data.shape,
        "lr": 1e-3,  # a step costs the same at any rate, and random labels should not be learnt by heart
        "momentum": task.local.momentum,
        "weight_decay": task.local.optimizer.weight_decay,
        "test_sizes": [min(size, n_test - start) for start in range(0, n_test, size)],
        "networks": list(networks),
        "rounds": plans,
    }


def run_ideal(plan: Path) -> Wall:
    """One ideal in processes of its own."""
    command = [sys.executable, str(IDEAL), str(plan)]
    out = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    seconds = json.loads(out.stdout)
    return Wall(wall_s=seconds["train_wall_s"] + seconds["evaluate_wall_s"], **seconds)


def cpu_seconds() -> float:
    """Of this process and all below it, Ray's own among them."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def run_ours(experiment: Experiment, out: Path, workers: int, rounds: list[dict[int, Schedule]]) -> Wall:
    """One run; asserts that it did the work that the ideal replays."""
    begin = time.perf_counter()
    ends: list[float] = []
    cpu: list[float] = []

    def on_round(row: RoundRow) -> None:
        ends.append(time.perf_counter())
        if len(ends) in (1, experiment.rounds):
            cpu.append(cpu_seconds())

    run(experiment, out, grid="ray", n_workers=workers, callbacks=[on_round])
    with (out / "rounds.csv").open() as file:
        macs = [int(row["macs"]) for row in csv.DictReader(file)]
    assert macs == [sum(s.macs for s in r.values()) for r in rounds], "not the rounds that were replayed"
    with (out / "timing.csv").open() as file:
        timing = list(csv.DictReader(file))[1:]
    train, evaluate = (sum(float(row[f"{half}_wall_s"]) for row in timing) for half in ("train", "evaluate"))
    return Wall(ends[0] - begin, ends[-1] - ends[0], train, evaluate, cpu[-1] - cpu[0])


def measure(method: str, options: argparse.Namespace, folder: Path, console: Console) -> list[dict[str, Any]]:
    """One record per pair of a run and an ideal."""
    overrides = [f"method.name={method}", f"dataset.data_dir={options.data_dir}", "clients_per_round=10"]
    overrides += [f"rounds={options.rounds}", f"evaluation.every={options.every}"]
    experiment, _ = load_experiment(CONFIG, overrides)
    task = build(experiment)
    rounds = replay(experiment, task)
    plan = folder / f"{method}.json"
    ideal = ideal_plan(experiment, task, rounds, options.workers) | {"layout": options.layout}
    plan.write_text(json.dumps(ideal))
    records = []
    for number in range(1, options.repeats + 1):
        ours = run_ours(experiment, folder / f"{method}-{number}", options.workers, rounds)
        ideal = run_ideal(plan)
        record = {
            "method": method,
            "repeat": number,
            "workers": options.workers,
            "ideal_layout": options.layout,
            "rounds": options.rounds - 1,
            **asdict(ours),
            **{f"ideal_{key}": value for key, value in asdict(ideal).items()},
            "ratio": ours.wall_s / ideal.wall_s,
            "train_ratio": ours.train_wall_s / ideal.train_wall_s,
            "evaluate_ratio": ours.evaluate_wall_s / ideal.evaluate_wall_s,
            "cpu_ratio": ours.cpu_s / ideal.cpu_s,
        }
        took = f"{ours.wall_s:.2f} s, ideal {ideal.wall_s:.2f} s"
        console.print(f"{method} {number}: {took}, ratio {record['ratio']:.3f}")
        records.append(record)
    return records


def table(records: list[dict[str, Any]]) -> Table:
    """Medians over the pairs of each method, and the spread of the ratio."""
    result = Table(title=f"a run against the ideal (at most {TARGET} wanted)")
    heads = ("method", "start-up s", "run s", "ideal s", "ratio", "spread", "train", "test", "CPU")
    for head in heads:
        result.add_column(head, justify="left" if head == "method" else "right")
    for method in dict.fromkeys(r["method"] for r in records):
        mine = [r for r in records if r["method"] == method]
        mid = {key: median(r[key] for r in mine) for key in mine[0] if key not in ("method", "ideal_layout")}
        ratios = [r["ratio"] for r in mine]
        result.add_row(
            method,
            *(f"{mid[key]:.2f}" for key in ("startup_wall_s", "wall_s", "ideal_wall_s")),
            f"{mid['ratio']:.3f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            *(f"{mid[key]:.3f}" for key in ("train_ratio", "evaluate_ratio", "cpu_ratio")),
        )
    return result


def main() -> None:
    """Measures and prints; leaves no files but --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data-dir",
        default=os.environ.get("DISTREAL_SIM_TEST_DATA"),
        help="default: $DISTREAL_SIM_TEST_DATA",
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--rounds", type=int, default=6, help="of a run; the first belongs to the start-up")
    parser.add_argument("--every", type=int, default=3, help="rounds between evaluations")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of a run and an ideal")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--layout",
        choices=("contiguous", "channels_last"),
        default="contiguous",
        help="of the ideal's batches: PyTorch's normal layout, or the one that runs use",
    )
    parser.add_argument("--json", type=Path, help="write one record per pair to this file")
    options = parser.parse_args()
    console = Console()
    if not options.data_dir:
        console.print("skipped: needs MNIST and QMNIST; give --data-dir or set DISTREAL_SIM_TEST_DATA")
        return
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, ray_instance(options.workers):
        for method in options.methods:
            records += measure(method, options, Path(folder), console)
    console.print(table(records))
    if options.json is not None:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
