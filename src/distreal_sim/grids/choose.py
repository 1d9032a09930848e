"""`--grid auto`: whether a run's rounds are worth sending to other processes, by predicted cost.

The results do not depend on the choice. `benchmarks/grid.py` shows how far the constants are from a machine's
own; a factor of two or three in any of them moves the choice only where both ways take about as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distreal_sim.base import process
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.task import Task, network_bytes
from distreal_sim.config import Experiment
from distreal_sim.simulation.cohort import select_cohort

GridName = Literal["auto", "serial", "ray"]

MACS_PER_WALL_S = 3e10
"""Training, one thread; forward passes alone are taken for as fast."""

LAYER_WALL_S = 2e-4
"""What a step costs beside its MACs, for each convolution and linear layer."""

JOB_WALL_S = 1.5e-3
"""What a Ray worker's job costs beside its arithmetic and the copying of arrays."""

COPY_BYTES_PER_WALL_S = 1e9
"""Arrays on their way to the server and into its merge."""

ROUND_WALL_S = 1e-2
"""What a round on the Ray grid costs beside its jobs."""

START_WALL_S = 5.0
"""Starting Ray and its workers."""


@dataclass(frozen=True)
class Choice:
    """Where clients run, and why.

    n_workers: processes at work; None: as many as a cluster has room for. serial_wall_s, ray_wall_s:
    predicted seconds of the whole run either way; None where there was nothing to compare.
    """

    grid: Literal["serial", "ray"]
    n_workers: int | None
    reason: str
    serial_wall_s: float | None = None
    ray_wall_s: float | None = None

    def __str__(self) -> str:
        n_workers = "as many as there is room for" if self.n_workers is None else self.n_workers
        where = "in this process" if self.grid == "serial" else f"on Ray workers ({n_workers})"
        return f"clients run {where}: {self.reason}"


def choose(
    name: GridName,
    experiment: Experiment,
    task: Task,
    n_workers: int | None = None,
    ray_address: str | None = None,
    num_cpus: int = 1,
    n_cores: int | None = None,
) -> Choice:
    """Settles `auto`; a function of the task, the numbers of cores and workers, and no clock.

    n_workers: None for as many as there are num_cpus cores each for; ray_address: of a Ray cluster,
    which only the Ray grid can use; n_cores: those that this process may use, if not given.
    """
    cores = n_cores or process.n_cores()
    workers = n_workers or max(1, cores // num_cpus)
    if name == "serial":
        return Choice("serial", 1, "--grid serial")
    if ray_address is not None:
        return Choice("ray", n_workers, "--ray-address")
    if name == "ray":
        return Choice("ray", workers, "--grid ray")
    if experiment.job_timeout_wall_s is not None:
        return Choice("ray", workers, "job_timeout_wall_s needs processes that can be killed")
    at_once = min(workers, cores, experiment.clients_per_round)
    if at_once == 1:
        return Choice("serial", 1, "nothing can run beside it (one worker, core or client)")
    if task.device != "cpu":
        return Choice("ray", workers, f"what a step costs on {task.device} is not predicted")
    serial_wall_s, ray_wall_s = _predicted_wall_s(experiment, task, at_once)
    reason = f"predicted {serial_wall_s:.3g} s in this process, {ray_wall_s:.3g} s on {workers} Ray workers"
    if serial_wall_s <= ray_wall_s:
        return Choice("serial", 1, reason, serial_wall_s, ray_wall_s)
    return Choice("ray", workers, reason, serial_wall_s, ray_wall_s)


def step_wall_s(task: Task, macs: float, n_steps: float = 1) -> float:
    """Seconds of steps with so many MACs together."""
    return macs / MACS_PER_WALL_S + n_steps * len(task.structure.layers) * LAYER_WALL_S


def _predicted_wall_s(experiment: Experiment, task: Task, at_once: int) -> tuple[float, float]:
    """(serial, Ray) seconds of all rounds if they are like the first one."""
    full_macs = task.macs_per_example(task.structure.full_counts())
    cohort = select_cohort(experiment, task, 1)
    jobs = []
    for client_id in cohort:
        sizes = batch_sizes(len(task.split[client_id]), task.local)
        macs = task.predicted_macs(client_id, 0.0)
        n_steps = len(sizes) * macs / (full_macs * sum(sizes))
        jobs.append(step_wall_s(task, macs, n_steps))
    test_macs = full_macs / 3 * len(task.data.test) / experiment.evaluation.every
    work_wall_s = sum(jobs) + test_macs / MACS_PER_WALL_S
    carrying_wall_s = len(jobs) * (JOB_WALL_S + network_bytes(task.module) / COPY_BYTES_PER_WALL_S)
    apart_wall_s = max(work_wall_s / at_once, *jobs, 0.0) + carrying_wall_s + ROUND_WALL_S
    return experiment.rounds * work_wall_s, START_WALL_S + experiment.rounds * apart_wall_s
