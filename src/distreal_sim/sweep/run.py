"""A whole sweep, from Python or the command line: checks all cells, plays those missing, keeps the table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.process import available_bytes, check_workers, n_cores, prepare_process
from distreal_sim.base.progress import progress_on_stderr
from distreal_sim.base.text import counted, si
from distreal_sim.config import texts_of
from distreal_sim.config.build import build, load_data
from distreal_sim.config.charges import described_levels
from distreal_sim.grids.ray.cluster import ray_instance, room_for
from distreal_sim.inspection import cautions
from distreal_sim.results.fleets import Level1, different_fleets
from distreal_sim.run import Run, load_runs
from distreal_sim.simulation.watch import check_watched
from distreal_sim.sweep.cells import Cell, load_cells
from distreal_sim.sweep.costs import share_costs
from distreal_sim.sweep.directory import SweepDirectory, open_directory
from distreal_sim.sweep.memory import n_fitting, run_bytes
from distreal_sim.sweep.progress import SweepShown
from distreal_sim.sweep.settings import Sweep
from distreal_sim.sweep.workers import Failure, Room, play_here, play_in_parallel

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A sweep that was played.

    path: its directory; n_cells: runs that its file asks for; n_before: those that were finished before this
    call; failures: those that failed in it, each with the reason.
    """

    path: Path
    n_cells: int
    n_before: int
    failures: tuple[tuple[Cell, Failure], ...]

    @property
    def table(self) -> pd.DataFrame:
        """sweep.csv: a row for each cell."""
        return pd.read_csv(self.path / "sweep.csv")

    def runs(self) -> list[Run]:
        """The finished cells, in the order of the table."""
        return load_runs(self.path)


def sweep(
    config: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    n_workers: int | None = None,
    ray_address: str | None = None,
    progress: bool = False,
    say: Say = lambda line: None,
    warn: Say = cautions.python_warning,
    **overrides: Any,
) -> Outcome:
    """Runs an experiment for every combination of values and seeds; what is finished already is skipped.

    config: a sweep config, a YAML file or what one would hold. overrides: its keys, `seeds=[1, 2]`, and the
    experiment's, `rounds=5`. out: by default runs/sweep-NAME. n_workers: cells at a time, by default as many
    as cores, of the whole cluster with ray_address, as far as memory allows. progress: a bar on stderr, or
    lines if that is no terminal. say is told how many cells run at a time; warn, what failed and what makes a
    cell's numbers say less than they seem to. Returns `path`, the directory, `table`, a row for each cell,
    and `failures`, the cells that failed, each with the reason. Raises InputError for a mistake in the input.
    """
    check_workers(n_workers)
    settings, cells, notes = load_cells(config, texts_of(overrides, whole=Sweep.model_fields))
    for note in notes:
        warn(note)
    name = settings.base.stem if isinstance(config, Mapping) else Path(config).stem
    path = default_directory(name) if out is None else Path(out)
    with progress_on_stderr(progress) as shown:
        outcome = run_sweep(
            settings,
            cells,
            path,
            n_workers=n_workers,
            ray_address=ray_address,
            show=SweepShown(shown),
            say=say,
            warn=warn,
        )
    for cell, failure in outcome.failures:
        warn(f"failed: {cell.name}: {failure.message}")
    return outcome


def default_directory(name: str) -> Path:
    """runs/sweep-NAME; name: of the config."""
    return Path("runs") / f"sweep-{name}"


def run_sweep(
    sweep: Sweep,
    cells: Sequence[Cell],
    out: Path,
    *,
    n_workers: int | None = None,
    ray_address: str | None = None,
    show: SweepShown | None = None,
    say: Say = lambda line: None,
    warn: Say = cautions.python_warning,
) -> Outcome:
    """Plays the cells that are not finished yet into the directory `out`.

    The files are the same for every number of workers, and after being cut short at any moment. ray_address:
    of a running Ray cluster, all of whose machines see `out` and the data under the same paths. say is told
    the estimate of memory; warn, what makes a cell's numbers say less than they seem to. Raises InputError
    for a mistake in the input, before any cell is begun.
    """
    prepare_process()
    show = show or SweepShown()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(open_directory(out, sweep, cells))
        # The first seed of every cell comes first: an interrupted sweep is a comparison with fewer seeds.
        missing = sorted(
            (cell for cell in cells if not directory.finished(cell)),
            key=lambda cell: sweep.seeds.index(cell.experiment.seed),
        )
        missing, costs = share_costs(missing, out / "cost.json")
        bytes_each, on_gpu = check_cells(missing, warn)
        for file, n in directory.outdated(missing).items():
            cells_were, they_are, runs_are = (
                ("1 cell was", "it is", "run is") if n == 1 else (f"{n} cells were", "they are", "runs are")
            )
            say(
                f"{file} was changed after {cells_were} run: {they_are} run again, and the earlier "
                f"{runs_are} not listed"
            )
        directory.begin()
        if costs is not None:
            costs.save(out / "cost.json")
        if ray_address is not None and missing:
            stack.enter_context(ray_instance(1, ray_address))
            room = _room_there(n_workers, ray_address, len(missing), bytes_each, on_gpu, say)
        else:
            room = _room_here(n_workers, len(missing), bytes_each, on_gpu, say)
        show.begin(missing, len(cells) - len(missing), directory.run_path)
        failures: list[tuple[Cell, Failure]] = []
        for cell, failure in _play(missing, directory, show, room):
            if failure is not None:
                failures.append((cell, failure))
                directory.note_failure(cell, failure.details)
            else:
                directory.forget_failure(cell)
                for line in cautions.of_rounds(directory.run_path(cell)):
                    warn(f"{cell.name}: {line}")
            directory.write_table()
            show.ended(cell, failure is not None)
        return Outcome(out, len(cells), len(cells) - len(missing), tuple(failures))


def _play(
    cells: Sequence[Cell], directory: SweepDirectory, show: SweepShown, room: Room
) -> Iterator[tuple[Cell, Failure | None]]:
    if not cells:
        return iter(())
    if room.n_workers == 1 and not room.in_cluster:
        return play_here(cells, directory.run_path, show)
    return play_in_parallel(cells, directory.run_path, show, room)


def check_cells(cells: Sequence[Cell], warn: Say = lambda line: None) -> tuple[int, bool]:
    """(bytes that the largest cell needs, whether a cell uses a GPU). Raises InputError naming the cell.

    A warning is given once for all seeds, and one where level 1 of the profile differs between cells.

    The task of every cell is built, for its seed decides how the data are dealt out; a data set is read once.
    """
    bytes_each, on_gpu = 1, False
    dataset, data = None, None
    warned: set[str] = set()
    levels_1: list[Level1] = []
    for cell in sorted(cells, key=lambda cell: repr(cell.experiment.dataset)):
        try:
            if cell.experiment.dataset != dataset:
                data = None
                dataset, data = cell.experiment.dataset, load_data(cell.experiment.dataset)
            if cell.experiment.needs_measuring:  # a preview, which measures nothing
                task = build(cell.experiment.by_macs(), data)
                described_levels(cell.experiment.method, task)
            else:
                task = build(cell.experiment, data)
            check_watched(cell.experiment, task.scoring.better)
            task.scoring.check_targets(cell.place.targets)
        except InputError as error:
            raise InputError(f"cell '{cell.name}': {error}") from None
        lines = [f"{cell.place.label}: {line}" for line in cautions.of_task(cell.experiment, task)]
        for line in [line for line in lines if line not in warned]:
            warn(line)
        warned.update(lines)
        levels_1.append(
            Level1(
                cell.place.label,
                cell.experiment.seed,
                cell.experiment.profile.unit,
                task.devices.median_level_1,
            )
        )
        with naming(f"cell '{cell.name}': method {cell.experiment.method.name}"):
            n_levels = len({level.counts for level in cell.experiment.method.all_levels(task)})
        bytes_each = max(bytes_each, run_bytes(task, n_levels))
        on_gpu = on_gpu or task.device == "cuda"
    for line in different_fleets(levels_1):
        warn(line)
    return bytes_each, on_gpu


def _room_here(asked: int | None, n_cells: int, bytes_each: int, on_gpu: bool, say: Say) -> Room:
    """How many cells are played at a time on this machine."""
    wanted = min(asked or n_cores(), max(1, n_cells))
    free_bytes = available_bytes()
    workers = min(wanted, n_fitting(bytes_each, free_bytes))
    _say(say, n_cells, workers, wanted, bytes_each, f"{si(free_bytes, 'B')} are available")
    return Room(workers, 1 / workers if on_gpu else 0.0)


def _room_there(
    asked: int | None, ray_address: str, n_cells: int, bytes_each: int, on_gpu: bool, say: Say
) -> Room:
    """The same of a cluster that was joined, where a cell has a GPU of its own if it uses one.

    Raises InputError where no machine has room for one.
    """
    num_gpus = 1.0 if on_gpu else 0.0
    fitting = room_for(1, num_gpus, bytes_each)
    if not fitting:
        gpu = ", a GPU" if on_gpu else ""
        raise InputError(
            f"--ray-address {ray_address}: no machine there has a core{gpu} and the {si(bytes_each, 'B')} of "
            "memory that a cell needs (estimated)"
        )
    wanted = min(asked or room_for(1, num_gpus), n_cells)
    workers = min(wanted, fitting)
    _say(say, n_cells, workers, wanted, bytes_each, f"the cluster has room for {fitting}")
    return Room(workers, num_gpus, bytes_each, in_cluster=True)


def _say(say: Say, n_cells: int, workers: int, wanted: int, bytes_each: int, available: str) -> None:
    if n_cells:
        fewer = f", not {wanted}: more would not fit" if workers < wanted else ""
        say(
            f"{counted(n_cells, 'cell')} to run, {workers} at a time{fewer}; a cell needs at most "
            f"{si(bytes_each, 'B')} of memory (estimated), {available}"
        )
