"""Running an experiment from Python or the command line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from distreal_sim.build import build
from distreal_sim.client import client_app
from distreal_sim.clock import TimedFleet
from distreal_sim.config import Experiment
from distreal_sim.grids import LocalGrid
from distreal_sim.grids.serial import SerialGrid
from distreal_sim.run_directory import RunDirectory
from distreal_sim.server import GridFleet
from distreal_sim.session import OnRound, play
from distreal_sim.task import Task
from distreal_sim.threads import one_thread

GridName = Literal["serial", "ray"]

WINDOW_PER_WORKER = 4
"""Jobs that may run beyond the update that is merged next, per worker; bounds the driver's memory."""


def run(
    experiment: Experiment,
    out: Path,
    *,
    grid: GridName = "ray",
    n_workers: int | None = None,
    ray_address: str | None = None,
    resume: bool = False,
    training: bool = True,
    verify: bool = False,
    on_round: OnRound = lambda row: None,
) -> None:
    """Runs an experiment into the directory `out`, or goes on with the run that is there.

    The results are the same bytes for every grid and number of workers, which is that of the cores (of the
    whole cluster) if not given. ray_address: of a running Ray cluster to work on. training: False plans and
    times every job in this process, and computes nothing. verify: checks the bookkeeping of every round.
    on_round is called with every round's row once it is recorded. Raises InputError for a mistake in the
    input.
    """
    one_thread()
    directory = RunDirectory(out, experiment, resume=resume, training=training)
    try:
        if directory.finished:
            return
        task = build(experiment)
        if not training:
            task = replace(task, computes=False)
            play(directory, experiment, task, TimedFleet(task, experiment.method), on_round, verify=verify)
            return
        with open_grid(grid, task, experiment, n_workers, ray_address) as (local, workers):
            fleet = GridFleet(local, task, nodes=None, window=WINDOW_PER_WORKER * workers, states=local)
            play(directory, experiment, task, fleet, on_round, verify=verify)
    finally:
        directory.close()


@contextlib.contextmanager
def open_grid(
    name: GridName,
    task: Task,
    experiment: Experiment,
    n_workers: int | None = None,
    ray_address: str | None = None,
) -> Iterator[tuple[LocalGrid, int]]:
    """A grid of simulated clients for a task, and the number of its workers, which end with the block."""
    n_clients, payload = len(task.split), (task, experiment.method)
    if name == "serial":
        yield SerialGrid(client_app(payload), n_clients), 1
        return
    from distreal_sim.grids.cluster import cluster_cores, ray_instance  # Ray takes a second to import
    from distreal_sim.grids.ray import RayGrid

    with ray_instance(n_workers or os.cpu_count() or 1, ray_address):
        workers = n_workers or cluster_cores()
        grid = RayGrid(
            client_app,
            payload,
            n_clients,
            workers,
            n_gpus=int(task.device == "cuda"),
            job_timeout_wall_s=experiment.job_timeout_wall_s,
        )
        try:
            yield grid, workers
        finally:
            grid.close()
