"""Where cells are played: one after another in this process, or each in one of several Ray actors."""

from __future__ import annotations

import fcntl
import socket
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import ray

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.config import Experiment
from distreal_sim.grids.ray.cluster import ray_instance, room_for
from distreal_sim.grids.ray.team import LOST, Team, WorkersDiedError
from distreal_sim.run import run
from distreal_sim.sweep.cells import Cell
from distreal_sim.sweep.progress import SweepShown

MAX_TRIES = 3
"""How often a cell is given to a worker that dies of it."""

LOOK_WALL_S = 0.5
"""How often the progress of running cells is looked at."""

PATIENCE_WALL_S = 30.0
"""How long a run's directory may still be in use: after `kill -9` workers outlive a sweep for a moment."""

PathOf = Callable[[Cell], Path]


@dataclass(frozen=True)
class Room:
    """Resources of cells that are played at the same time.

    n_workers: cells at a time; num_gpus, memory_bytes: what Ray sets aside for each, which counts on a
    cluster only; in_cluster: whether a cluster was joined.
    """

    n_workers: int
    num_gpus: float = 0.0
    memory_bytes: int = 0
    in_cluster: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a cell could not be played: one line, and details for a programmer."""

    message: str
    details: str


def play(
    experiment: Experiment, directory: Path, on_round: Callable[[Any], object] = lambda row: None
) -> Failure | None:
    """Plays one run from wherever its directory says it stands; the failure, if it fails."""
    try:
        experiment.check_sources()
        _wait_until_free(directory)
        run(experiment, directory, grid="serial", resume=True, callbacks=[on_round], warn=lambda line: None)
    except (InputError, RunError) as error:
        return Failure(str(error), f"{traceback.format_exc()}\n{getattr(error, 'details', '')}")
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


def play_here(
    cells: Sequence[Cell], path_of: PathOf, show: SweepShown
) -> Iterator[tuple[Cell, Failure | None]]:
    """Plays the cells in this process; each with its failure, if it failed."""
    for cell in cells:
        show.running([cell])
        yield cell, play(cell.experiment, path_of(cell), lambda row: show.look())


def play_in_parallel(
    cells: Sequence[Cell], path_of: PathOf, show: SweepShown, room: Room
) -> Iterator[tuple[Cell, Failure | None]]:
    """Plays the cells in processes of their own, in the order in which they end.

    A cell whose worker died continues from its last checkpoint in a new one.
    Raises InputError when Ray cannot start or a machine does not see the cells' directory, and
    WorkersDiedError when there is no room for workers any more.
    """
    queue, tries, working = deque(cells), Counter[str](), dict[Any, tuple[Cell, Any]]()
    home = path_of(cells[0]).parent.absolute()
    try:
        with (
            ray_instance(room.n_workers),  # or the cluster that was joined
            NamedTemporaryFile(prefix=".seen-by-all-", dir=home) as mark,
        ):
            needs = {"num_cpus": 1, "num_gpus": room.num_gpus, "memory": room.memory_bytes or None}
            actor = ray.remote(**needs, max_restarts=0)(_Worker)
            team = Team(lambda: actor.remote(Path(mark.name)))
            try:
                for _ in range(min(room.n_workers, len(queue))):
                    team.start_one()
                while queue or working:
                    while queue and team.idle:
                        cell, worker = queue.popleft(), team.idle.pop()
                        working[worker.play.remote(cell.experiment, home / path_of(cell).name)] = cell, worker
                    show.running([cell for cell, _ in working.values()])
                    done, _ = ray.wait([*working, *team.starting], num_returns=1, timeout=LOOK_WALL_S)
                    show.look()
                    if not done and not working:
                        _check_room(room)
                    for reference in done:
                        if reference in team.starting:
                            team.admit(reference)
                            continue
                        cell, worker = working.pop(reference)
                        try:
                            failure = _result(reference)
                        except _DiedError as error:
                            ray.kill(worker)  # one that is merely out of reach would keep its core
                            team.start_one()
                            tries[cell.hash] += 1
                            if tries[cell.hash] < MAX_TRIES:
                                queue.appendleft(cell)
                                continue
                            failure = Failure(str(error), error.details)
                        else:
                            team.idle.append(worker)
                        yield cell, failure
            finally:
                team.close()
                for _, worker in working.values():
                    ray.kill(worker)
    except InputError as error:
        raise InputError(str(error).replace("--grid serial", "--workers 1")) from error


def _check_room(room: Room) -> None:
    if not room_for(1, room.num_gpus, room.memory_bytes):
        raise WorkersDiedError("no machine is left that has room for a cell")


class _Worker:
    """The process of one actor, for one cell after another."""

    def __init__(self, mark: Path) -> None:
        """mark: a file that the driver has made in the sweep's directory."""
        self._mark = mark

    def started(self) -> str | None:
        """The fault of this machine, if there is one."""
        if self._mark.exists():
            return None
        where = f"the machine {socket.gethostname()} does not see {self._mark.parent} as this one does"
        return f"{where}: --out must be on a disk that all machines share"

    def play(self, experiment: Experiment, directory: Path) -> Failure | None:
        return play(experiment, directory)


class _DiedError(RunError):
    """A worker that died at work."""


def _result(reference: Any) -> Failure | None:
    try:
        failure: Failure | None = ray.get(reference)
        return failure
    except LOST as error:
        raise _DiedError(
            f"its worker died {MAX_TRIES} times (killed for want of memory, or a crash in native code?)",
            str(error),
        ) from None
    except Exception as error:  # it could not even be sent to another process
        return Failure(str(error).strip().splitlines()[-1], traceback.format_exc())


def _wait_until_free(directory: Path) -> None:
    if not (directory / ".lock").exists():
        return
    end = time.monotonic() + PATIENCE_WALL_S
    with (directory / ".lock").open("w") as lock:
        while time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
