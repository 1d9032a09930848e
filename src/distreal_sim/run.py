"""Running an experiment from Python or the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from distreal_sim.base.process import prepare_process
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.grids.choose import Choice, GridName, choose
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.inspection import cautions
from distreal_sim.inspection.cautions import Warn
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.play import play
from distreal_sim.simulation.rounds import OnRound
from distreal_sim.simulation.run_directory import RunDirectory

WINDOW_PER_WORKER = 4
"""Jobs that may run beyond the update that is merged next, per worker; bounds the driver's memory."""


def run(
    experiment: Experiment,
    out: Path,
    *,
    grid: GridName = "auto",
    n_workers: int | None = None,
    ray_address: str | None = None,
    num_cpus: int = 1,
    num_gpus: float | None = None,
    resume: bool = False,
    training: bool = True,
    verify: bool = False,
    on_round: OnRound = lambda row: None,
    say: Callable[[str], None] = lambda line: None,
    warn: Warn = cautions.python_warning,
) -> None:
    """Runs an experiment into the directory `out`, or goes on with the run that is there.

    The results are the same bytes for every grid and number of workers, which is that of the cores (of the
    whole cluster) if not given. grid: auto takes the one that is predicted to be faster. ray_address: of a
    running Ray cluster to work on. num_cpus, num_gpus: what Ray sets aside for each worker; of the GPUs equal
    shares if not given and the device is cuda. training: False plans and times every job in this process,
    and computes nothing. verify: checks the bookkeeping of every round. on_round is called with every round's
    row once it is recorded; say, with a line on where the clients run; warn, with what makes the numbers say
    less than they seem to. Raises InputError for a mistake in the input.
    """
    prepare_process()
    directory = RunDirectory(out, experiment, resume=resume, training=training)
    try:
        if directory.finished:
            return
        task = build(experiment)
        for line in [*cautions.of_task(experiment, task), *cautions.of_data(task.data)]:
            warn(line)
        if not training:
            task = replace(task, computes=False)
            play(directory, experiment, task, None, on_round, verify=verify)
            for line in cautions.of_rounds(out):
                warn(line)
            return
        choice = choose(grid, experiment, task, n_workers, ray_address, num_cpus)
        say(str(choice))
        directory.notes["grid"] = asdict(choice)
        with open_fleet(choice, task, experiment, ray_address, num_cpus, num_gpus) as fleet:
            play(directory, experiment, task, fleet, on_round, verify=verify)
        for line in cautions.of_rounds(out):
            warn(line)
    finally:
        directory.close()


@contextlib.contextmanager
def open_fleet(
    choice: Choice,
    task: Task,
    experiment: Experiment,
    ray_address: str | None = None,
    num_cpus: int = 1,
    num_gpus: float | None = None,
) -> Iterator[Fleet]:
    """The simulated clients of a task; their processes, if they have any, end with the block."""
    if choice.grid == "serial":
        yield SerialFleet(task, experiment.method)
        return
    from distreal_sim.grids.flower.client_app import client_app  # Flower and Ray take a second to import
    from distreal_sim.grids.flower.fleet import GridFleet
    from distreal_sim.grids.ray.cluster import gpu_share, n_workers_that_fit, ray_instance
    from distreal_sim.grids.ray.grid import RayGrid

    with ray_instance((choice.n_workers or 1) * num_cpus, ray_address):
        fitting = n_workers_that_fit(num_cpus, num_gpus)
        workers = choice.n_workers or fitting
        grid = RayGrid(
            client_app,
            (task, experiment.method),
            len(task.split),
            workers,
            num_cpus=num_cpus,
            num_gpus=gpu_share(workers, task.device) if num_gpus is None else num_gpus,
            job_timeout_wall_s=experiment.job_timeout_wall_s,
            check=experiment.check_sources,
        )
        try:
            yield GridFleet(grid, task, nodes=None, window=WINDOW_PER_WORKER * workers, states=grid)
        finally:
            grid.close()
