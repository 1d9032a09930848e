"""Running an experiment, from Python or the command line, and reading what came out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import safe_open
from safetensors.numpy import load_file
from torch import nn

from distreal_sim.base.callable_module import make_callable
from distreal_sim.base.errors import InputError
from distreal_sim.base.process import check_workers, prepare_process
from distreal_sim.base.progress import progress_on_stderr
from distreal_sim.client.task import Task
from distreal_sim.config import Config, Experiment, parse_experiment, read_yaml, texts_of
from distreal_sim.config import load_experiment as load_with_notes
from distreal_sim.config.build import build
from distreal_sim.config.place import default_directory
from distreal_sim.grids.choose import Choice, GridName, choose
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.inspection import cautions
from distreal_sim.inspection.cautions import Warn
from distreal_sim.inspection.console import rounds_shown
from distreal_sim.inspection.timing import with_costs
from distreal_sim.results import runs as results
from distreal_sim.results.directories import find_runs
from distreal_sim.results.show import draw
from distreal_sim.results.trackers import Tracker
from distreal_sim.simulation.callbacks import AnyCallback, together
from distreal_sim.simulation.checkpoints import trained_arrays
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.play import play
from distreal_sim.simulation.run_directory import BEST, RunDirectory

if TYPE_CHECKING:
    from distreal_sim.results.plots import Figure

WINDOW_PER_WORKER = 4
"""Jobs that may run beyond the update that is merged next, per worker; bounds the driver's memory."""


class Run(results.Run):
    """One run, read from its directory; its model and its figure.

    path: the directory; config: its config.yaml; rounds: rounds.csv, a row for each round; clients:
    clients.parquet, a row for each round and client; seed; label: what tells it from the runs that it was
    read with.
    """

    def model(self, which: Literal["last", "best"] = "last") -> nn.Module:
        """The network with the trained parameters, in evaluation mode; of an unfinished run those of its last
        checkpoint.

        which: `best`, the model of round `best_round`, is there if the config has `best`. Reads the data set,
        which the network's shape may depend on. Raises InputError where there is none yet.
        """
        saved = self.path / ("model.safetensors" if which == "last" else BEST)
        if which == "best" and not saved.exists():
            raise InputError(f"{self.path} holds no best model; a config with `best` keeps one")
        config = {**read_yaml(self.path / "config.yaml"), "trackers": []}
        experiment = parse_experiment(config, source=str(self.path))
        module = build(experiment.by_macs()).module
        arrays = load_file(saved) if saved.exists() else trained_arrays(self.path)
        state = module.state_dict()
        for name, value in arrays.items():
            state[name] = state[name].new_tensor(value)
        module.load_state_dict(state)
        return module.eval()

    @property
    def best_round(self) -> int | None:
        """The round of the best model so far; None without one."""
        saved = self.path / BEST
        if not saved.exists():
            return None
        with safe_open(saved, "np") as file:
            return int(file.metadata()["round"])

    def plot(
        self,
        x: Literal["sim_s", "round", "macs", "upload_bytes", "energy_j"] = "sim_s",
        out: str | Path | None = None,
        kind: str = "accuracy",
    ) -> Figure:
        """Its test accuracy against simulated time, rounds, MACs, upload or joules, or another figure; out: a
        .png, .pdf or .svg; kind: see `distreal_sim.plot`.
        """
        if kind != "accuracy":
            return draw(kind, [self], out)
        from distreal_sim.results.plots.accuracy import accuracy  # matplotlib takes a second to import

        return accuracy([self], x=x, out=None if out is None else Path(out))


def load_runs(
    directories: str | Path | Iterable[str | Path],
    metric: results.Metric = "trained",
    n_last: int = 1,
    y: str | None = None,
) -> list[Run]:
    """Every run that is one of the directories or lies below one, labelled by what tells it from the others.

    metric: whose score counts, that of the largest part that was trained or of the whole network; n_last:
    evaluations whose mean is the final score; y: the score, such as accuracy, by default the first one that
    the first run measured. Runs without a finished round are left out, with a warning
    on stderr. Raises InputError for a directory without a run.
    """
    tops = [directories] if isinstance(directories, str | Path) else directories
    return [_read(run) for run in find_runs(map(Path, tops), metric, n_last, y)]


def load_experiment(config: Config, **overrides: Any) -> Experiment:
    """The experiment of a config: a YAML file, a mapping, or an experiment that is to be changed.

    overrides: keys of the config, `rounds=3`, `method={"name": "fedavg"}` or `**{"method.name": "fedavg"}`.
    Raises InputError naming the key, the value, what is allowed and the nearest valid name.
    """
    experiment, notes = load_with_notes(config, texts_of(overrides))
    for note in notes:
        cautions.python_warning(note)
    return experiment


def run(
    config: Config,
    out: str | Path | None = None,
    *,
    callbacks: Sequence[AnyCallback | Tracker] = (),
    grid: GridName = "auto",
    n_workers: int | None = None,
    ray_address: str | None = None,
    num_cpus: int = 1,
    num_gpus: float | None = None,
    resume: bool = False,
    training: bool = True,
    verify: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
    warn: Warn = cautions.python_warning,
    **overrides: Any,
) -> Run:
    """Runs an experiment into the directory `out`, or resumes the run that is there, and reads it.

    The results are the same bytes for every grid and number of workers.

    config: a YAML file, what one would hold, or an experiment. overrides: keys of the config, see
    `load_experiment`. out: by default runs/NAME-METHOD-SEED-CHANGES. callbacks: each sees every round once it
    is recorded, a tracker as one of the config's `trackers`, and may end the run, which can be resumed then;
    without training, rounds are timed many at once, and the tables may go on beyond the one that ended the
    run. resume: with a larger number of rounds a finished run goes on, where the learning rates and the
    method do not depend on that number.
    grid: `serial`, all in this process; `ray`, on worker processes; `auto`, by how much work there
    is. n_workers: by default as many as cores, of the whole cluster with ray_address. num_cpus,
    num_gpus: what Ray sets aside for each worker; by default the GPUs in equal shares if the device is cuda.
    training: False simulates timing only. verify: checks the bookkeeping of every round by other means.
    progress: a bar on stderr, or lines if that is no terminal. say is told where the clients run; warn, what
    makes the numbers say less than they seem to. Raises InputError for a mistake in the input.
    """
    check_workers(n_workers)
    texts = texts_of(overrides)
    experiment, notes = load_with_notes(config, texts)
    for note in notes:
        warn(note)
    own = tuple(callback for callback in callbacks if isinstance(callback, Tracker))
    functions = [callback for callback in callbacks if not isinstance(callback, Tracker)]
    path = default_directory(experiment, texts, resume=resume) if out is None else Path(out)
    prepare_process()
    directory = RunDirectory(path, experiment, resume=resume, training=training)
    task: Task | None = None
    try:
        if not directory.finished:
            with progress_on_stderr(progress) as shown:
                on_round = together([rounds_shown(experiment, shown, every=training), *functions])
                if experiment.cost == "measured":
                    known = directory.measured()
                    experiment = with_costs(experiment) if known is None else experiment.with_measured(known)
                directory.costs = experiment.costs
                task = build(experiment)
                for line in [*cautions.of_task(experiment, task), *cautions.of_data(task.data)]:
                    warn(line)
                if training:
                    choice = choose(grid, experiment, task, n_workers, ray_address, num_cpus)
                    say(str(choice))
                    directory.notes["grid"] = asdict(choice)
                    with open_fleet(choice, task, experiment, ray_address, num_cpus, num_gpus) as fleet:
                        play(directory, experiment, task, fleet, on_round, own, verify=verify)
                else:
                    play(
                        directory,
                        experiment,
                        replace(task, computes=False),
                        None,
                        on_round,
                        own,
                        verify=verify,
                    )
        found = results.read_run(path)
        if found is None:
            raise InputError(f"{path} has no finished round")
        thinning = [] if task is None else cautions.of_thinning(found, experiment, task)
        for line in [*cautions.of_world(found), *thinning]:
            warn(line)
    finally:
        directory.close()
    return _read(found)


def _read(run: results.Run) -> Run:
    return Run(**{field.name: getattr(run, field.name) for field in fields(run)})


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


make_callable(__name__, __name__)
