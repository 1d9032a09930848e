"""Where cells are played: one after another in this process, or each in one of several Ray actors."""

from __future__ import annotations

import fcntl
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from distreal_sim.config import Experiment
from distreal_sim.errors import InputError, RunError
from distreal_sim.grids.cluster import LOST, MAX_FAILED_STARTS, gpu_share, ray_instance
from distreal_sim.run import run
from distreal_sim.sweep.cells import Cell
from distreal_sim.sweep.progress import Quiet

MAX_TRIES = 3
"""How often a cell is given to a worker that dies of it."""

LOOK_WALL_S = 0.5
"""How often the progress of running cells is looked at."""

PATIENCE_WALL_S = 30.0
"""How long a run's directory may still be in use: after `kill -9` workers outlive a sweep for a moment."""

PathOf = Callable[[Cell], Path]


@dataclass(frozen=True)
class Room:
    """Where cells are played beside each other.

    n_workers: cells at a time; on_gpu: whether they share the GPUs; memory_bytes: what Ray sets aside for
    each, which counts on a cluster only; ray_address: of that cluster.
    """

    n_workers: int
    on_gpu: bool = False
    memory_bytes: int = 0
    ray_address: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a cell could not be played: one line, and what a programmer needs beside it."""

    message: str
    details: str


def play(
    experiment: Experiment, directory: Path, on_round: Callable[[Any], None] = lambda row: None
) -> Failure | None:
    """Plays one run from wherever its directory says it stands; the failure, if it fails."""
    try:
        _wait_until_free(directory)
        run(experiment, directory, grid="serial", resume=True, on_round=on_round)
    except (InputError, RunError) as error:
        return Failure(str(error), f"{traceback.format_exc()}\n{getattr(error, 'details', '')}")
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


def play_here(cells: Sequence[Cell], path_of: PathOf, show: Quiet) -> Iterator[tuple[Cell, Failure | None]]:
    """Plays the cells in this process; each with its failure, if it failed."""
    for cell in cells:
        show.running([cell])
        yield cell, play(cell.experiment, path_of(cell), lambda row: show.look())


def play_in_parallel(
    cells: Sequence[Cell], path_of: PathOf, show: Quiet, room: Room
) -> Iterator[tuple[Cell, Failure | None]]:
    """Plays the cells in processes of their own, in the order in which they end.

    A cell whose worker died goes on from its last checkpoint in a new one. Cells go to workers that have
    started: one for which there is no room left, because its machine is gone, is not waited for while others
    work. Raises InputError when Ray cannot start, RunError when no worker can.
    """
    queue, tries, working = deque(cells), Counter[str](), dict[Any, tuple[Cell, Any]]()
    try:
        with ray_instance(room.n_workers, room.ray_address):
            team = _Team(room)
            try:
                for _ in range(min(room.n_workers, len(queue))):
                    team.start_one()
                while queue or working:
                    while queue and team.idle:
                        cell, worker = queue.popleft(), team.idle.pop()
                        working[worker.play.remote(cell.experiment, path_of(cell).resolve())] = cell, worker
                    show.running([cell for cell, _ in working.values()])
                    done, _ = ray.wait([*working, *team.starting], num_returns=1, timeout=LOOK_WALL_S)
                    show.look()
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
                        if failure is None and not path_of(cell).exists():
                            failure = _elsewhere(path_of(cell).parent)
                        yield cell, failure
            finally:
                for worker in [*team.everyone(), *(worker for _, worker in working.values())]:
                    ray.kill(worker)
    except InputError as error:
        raise InputError(str(error).replace("--grid serial", "--workers 1")) from error


class _Team:
    """The workers that are not at work: those that could begin, and those that have not started yet."""

    def __init__(self, room: Room) -> None:
        share = gpu_share(room.n_workers, "cuda" if room.on_gpu else "cpu")
        needs = {"num_cpus": 1, "num_gpus": share, "memory": room.memory_bytes or None}
        self._actor = ray.remote(**needs, max_restarts=0)(_Worker)
        self.idle: list[Any] = []
        self.starting: dict[Any, Any] = {}
        self._n_failed = 0

    def start_one(self) -> None:
        """Asks Ray for another worker."""
        worker = self._actor.remote()
        self.starting[worker.started.remote()] = worker

    def admit(self, reference: Any) -> None:
        """Takes in a worker that has started, or asks for another in place of one that died before."""
        worker = self.starting.pop(reference)
        try:
            ray.get(reference)
        except LOST as error:
            self._n_failed += 1
            if self._n_failed == MAX_FAILED_STARTS:
                raise RunError("the workers die before they have started", str(error)) from None
            ray.kill(worker)
            self.start_one()
        else:
            self._n_failed = 0
            self.idle.append(worker)

    def everyone(self) -> list[Any]:
        """The workers, to end them."""
        return [*self.idle, *self.starting.values()]


class _Worker:
    """The process of one actor, for one cell after another."""

    def started(self) -> None:
        """Returns once there is a worker."""

    def play(self, experiment: Experiment, directory: Path) -> Failure | None:
        if not directory.parent.is_dir():
            return _elsewhere(directory.parent)
        return play(experiment, directory)


def _elsewhere(directory: Path) -> Failure:
    return Failure(
        f"{directory} is not the same on all machines: --out must be on a disk that they share", ""
    )


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
