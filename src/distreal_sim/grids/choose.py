"""`--grid auto`: whether a run's jobs are worth sending to other processes, by a rule of thumb.

The results do not depend on the choice. `benchmarks/grid.py` measures what the Ray grid costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distreal_sim.base import process
from distreal_sim.base.text import si
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.simulation.cohort import select_cohort

GridName = Literal["auto", "serial", "ray"]

STEP_MACS = 2e7
"""Fixed cost of a step, as the number of MACs that take as long."""

FEW_MACS = 3e11
"""A run with fewer MACs trains for about ten seconds on one core, as long as Ray takes to start."""

FEW_MACS_OF_A_JOB = 1e8
"""A job with fewer MACs takes less time than sending it to a worker and back."""


@dataclass(frozen=True)
class Choice:
    """The grid that runs the clients, and the reason.

    n_workers: number of processes; None: as many as a cluster has room for.
    """

    grid: Literal["serial", "ray"]
    n_workers: int | None
    reason: str

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
    """Resolves `auto`; depends on the task and on the numbers of cores and workers, not on measured time.

    n_workers: None: as many as the cores allow with num_cpus each; ray_address: address of a Ray cluster,
    which only the Ray grid can use; n_cores: by default the cores that this process may use.
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
        return Choice("serial", 1, "nothing can run in parallel (one worker, core or client)")
    if task.device != "cpu":
        return Choice("ray", workers, f"the cost of a step on {task.device} is not known")
    jobs = [_work_macs(task, client_id) for client_id in select_cohort(experiment, task, 1)[0]]
    job_macs = sum(jobs) / max(1, len(jobs))
    run_macs = experiment.rounds * experiment.coordination.n_merged(len(jobs)) * job_macs
    said = f"about {si(run_macs, 'MAC')} in the run, {si(job_macs, 'MAC')} in a job"
    if run_macs < FEW_MACS or job_macs < FEW_MACS_OF_A_JOB:
        return Choice("serial", 1, f"{said}: too few to be worth Ray")
    return Choice("ray", workers, said)


def _work_macs(task: Task, client_id: int) -> float:
    """A client's work in round 1 in MACs, the fixed cost of its steps included."""
    sizes = batch_sizes(len(task.split[client_id]), task.local)
    macs = task.predicted_macs(client_id, 0.0)
    return macs + STEP_MACS * len(sizes) * macs / (sum(sizes) * task.macs_per_example(task.full))
