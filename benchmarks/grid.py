"""What carrying costs: a round on the Ray grid and in one process, beside the arithmetic of its jobs.

    python benchmarks/grid.py

The same jobs (FedAvg, small_cnn of 62,488 parameters on random 8x8 images, 20 examples a client, batch 10)
are done in three ways, in turn: `bare`, a loop in a Ray actor that calls the method and throws the updates
away; `ray`, through messages to one worker; `serial`, in this process. With one worker nothing overlaps, so
what a round takes longer than the bare loop is overhead: on the driver, on the worker and between them. It is
split into a part per client and a part per round by rounds of 10 and of 40 clients. Fleets of 100 and of
100,000 clients have the same jobs. Wall milliseconds count; those of the processor, of the driver and its
workers, are beside them, for machines that do other work.

"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import psutil
import ray
from rich.console import Console
from rich.table import Table

from distreal_sim.base.process import prepare_process
from distreal_sim.client.client import do
from distreal_sim.client.messages import Job, Round
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.data.datasets import Data, Examples
from distreal_sim.grids.flower.client_app import client_app
from distreal_sim.grids.flower.fleet import GridFleet
from distreal_sim.grids.ray.cluster import ray_instance
from distreal_sim.grids.ray.grid import RayGrid
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.rounds import start

EXAMPLES, BATCH = 20, 10
FLEETS = (100, 100_000)
COHORTS = (10, 40)
MODELS = (
    ("logistic", {}, (1, 28, 28)),
    ("small_cnn", {"width": 4}, (1, 8, 8)),
    ("small_cnn", {"width": 26}, (1, 8, 8)),
    ("small_cnn", {"width": 16}, (1, 28, 28)),
    ("femnist_cnn", {}, (1, 28, 28)),
    ("cnn_cifar", {}, (3, 32, 32)),
    ("resnet20", {}, (3, 32, 32)),
)
"""What step costs are measured on: name, options, shape of an example."""


def random_data(n_examples: int, shape: tuple[int, ...]) -> Data:
    """Bytes and labels at random; 10 classes."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (n_examples, *shape), np.uint8)
    y = rng.integers(0, 10, n_examples)
    mean, std = np.full(shape[0], 127.5, np.float32), np.full(shape[0], 73.6, np.float32)
    return Data(Examples(x, y), Examples(x[:100], y[:100]), 10, mean, std)


def experiment_of(model: str, options: dict[str, Any], n_clients: int) -> Experiment:
    """FedAvg with a learning rate at which random labels are not learnt by heart."""
    plain = {
        "name": "grid",
        "seed": 1,
        "rounds": 10,
        "deadline_s": 10.0,
        "n_clients": n_clients,
        "clients_per_round": min(n_clients, max(COHORTS)),
        "dataset": {"name": "digits"},
        "partition": {"name": "iid"},
        "model": {"name": model, **options},
        "local": {"epochs": 1, "batch_size": BATCH, "lr": 1e-4},
        "profile": {"name": "constant"},
        "method": {"name": "fedavg"},
    }
    return parse_experiment(plain, source="benchmarks/grid.py")


class Bare:
    """The jobs of a round without a grid."""

    def __init__(self, task: Task, experiment: Experiment) -> None:
        prepare_process()
        self.task, self.method = task, experiment.method

    def work(self, jobs: list[Job], arrays: dict[str, np.ndarray]) -> tuple[float, float]:
        """(wall, processor) seconds of doing them."""
        begin = time.perf_counter(), time.process_time()
        for job in jobs:
            do(self.task, self.method, replace(job, arrays=arrays))
        return time.perf_counter() - begin[0], time.process_time() - begin[1]


@dataclass
class Ways:
    """How the jobs of a round are done: each of the three gives (wall, processor) seconds."""

    task: Task
    experiment: Experiment
    bare: Any
    ray: GridFleet
    serial: SerialFleet

    def __post_init__(self) -> None:
        self._progress = start(self.experiment, self.task)
        self._numbers = itertools.count(1)
        me = psutil.Process()
        self._processes = [me]
        for way in ("bare", "ray", "serial"):  # caches, and the workers themselves
            self.round(way, min(COHORTS))
        self._processes += [p for p in me.children(recursive=True) if "ray::" in p.name()]

    def round(self, way: str, n_clients: int) -> tuple[float, float]:
        """One round with a model that was never sent before."""
        number = next(self._numbers)
        arrays = {name: array.copy() for name, array in self._progress.state.arrays.items()}
        cohort = np.random.default_rng(number).choice(len(self.task.split), n_clients, replace=False).tolist()
        now = Round(number, 1, 0.0, self.task.local.lr)
        jobs = [Job(c, now, arrays) for c in cohort]
        if way == "bare":
            seconds: tuple[float, float] = ray.get(
                self.bare.work.remote([Job(c, now, {}) for c in cohort], arrays)
            )
            return seconds
        fleet: Fleet = self.ray if way == "ray" else self.serial
        begin = time.perf_counter(), self._cpu_s()
        for update in fleet.train(jobs):
            assert update.is_merged
        return time.perf_counter() - begin[0], self._cpu_s() - begin[1]

    def _cpu_s(self) -> float:
        return sum(t.user + t.system for t in (p.cpu_times() for p in self._processes))


@contextmanager
def ways(n_clients: int) -> Iterator[Ways]:
    """The three ways for a fleet of that size."""
    experiment = experiment_of("small_cnn", {"width": 26}, n_clients)
    task = build(experiment, random_data(n_clients * EXAMPLES, (1, 8, 8)))
    bare = ray.remote(num_cpus=1)(Bare).remote(task, experiment)
    grid = RayGrid(client_app, (task, experiment.method), n_clients, 1)
    fleet = GridFleet(grid, task, nodes=None, window=4, states=grid)
    try:
        yield Ways(task, experiment, bare, fleet, SerialFleet(task, experiment.method))
    finally:
        grid.close()
        ray.kill(bare)


def overheads(repeats: int) -> Table:
    """Medians of the rounds, and what is left when the bare ones are taken away."""
    result = Table(title="ms beyond the bare jobs, of wall time and of the processor")
    for head in (
        "fleet",
        "way",
        "round of 10",
        "round of 40",
        "per client",
        "per round",
        "CPU per client",
        "CPU per round",
    ):
        result.add_column(head, justify="left" if head == "way" else "right")
    for n_clients in FLEETS:
        taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
        with ways(n_clients) as fleet:
            for _ in range(repeats):
                for way, n in itertools.product(("bare", "ray", "serial"), COHORTS):
                    taken.setdefault((way, n), []).append(fleet.round(way, n))
        for way in ("bare", "ray", "serial"):
            # The clock of other processes ticks every 10 ms: the mean of many is right, the median is not.
            wall_ms = {n: 1e3 * median(w for w, _ in taken[way, n]) for n in COHORTS}
            cpu_ms = {n: 1e3 * float(np.mean([c for _, c in taken[way, n]])) for n in COHORTS}
            if way == "bare":
                bare_wall_ms, bare_cpu_ms = wall_ms, cpu_ms
                rest = ["", "", "", ""]
            else:
                rest = [
                    f"{value:.2f}"
                    for took, bare in ((wall_ms, bare_wall_ms), (cpu_ms, bare_cpu_ms))
                    for value in split({n: took[n] - bare[n] for n in COHORTS})
                ]
            result.add_row(f"{n_clients:,}", way, *(f"{wall_ms[n]:.1f}" for n in COHORTS), *rest)
    return result


def split(beyond_ms: dict[int, float]) -> tuple[float, float]:
    """(per client, per round) of the overheads of two sizes of rounds."""
    few, many = COHORTS
    per_client = (beyond_ms[many] - beyond_ms[few]) / (many - few)
    return per_client, beyond_ms[few] - few * per_client


def main() -> None:
    """Measures and prints; leaves no files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30, help="rounds of each kind")
    options = parser.parse_args()
    prepare_process()
    console = Console()
    with ray_instance(2):
        console.print(overheads(options.repeats))


if __name__ == "__main__":
    main()
