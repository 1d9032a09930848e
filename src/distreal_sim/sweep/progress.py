"""Output of a running sweep on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from distreal_sim.base.progress import Paced
from distreal_sim.sweep.cells import Cell

MOST_NAMED = 3
"""Cells that a line on those that are running names."""


class Quiet:
    """Shows nothing."""

    def begin(self, cells: Sequence[Cell], n_finished: int, path_of: Callable[[Cell], Path]) -> None:
        """The cells that will be played, and how many others were finished before."""

    def running(self, cells: Sequence[Cell]) -> None:
        """The cells that are being played now."""

    def look(self) -> None:
        """Time has passed."""

    def ended(self, cell: Cell, failed: bool) -> None:
        """A cell was played to its end, or failed."""


class Bar(Quiet):
    """A bar over the rounds of all cells, that are played in this call, with the time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._running: Sequence[Cell] = ()
        self._played: dict[str, int] = {}
        self._failed = 0

    def begin(self, cells: Sequence[Cell], n_finished: int, path_of: Callable[[Cell], Path]) -> None:
        self._path_of, self._done, self._n = path_of, n_finished, len(cells) + n_finished
        self._played = {cell.hash: self._rounds(cell) for cell in cells}
        self._before = sum(self._played.values())
        total = sum(cell.experiment.rounds for cell in cells) - self._before
        self._task = self._progress.add_task("sweep", total=total, facts=self._facts())

    def running(self, cells: Sequence[Cell]) -> None:
        self._running = cells
        self.look()

    def look(self) -> None:
        self._played |= {cell.hash: self._rounds(cell) for cell in self._running}
        now = max(0, sum(self._played.values()) - self._before)
        self._progress.update(self._task, completed=now, facts=self._facts())

    def ended(self, cell: Cell, failed: bool) -> None:
        self._running = [other for other in self._running if other.hash != cell.hash]
        self._played[cell.hash] = cell.experiment.rounds
        self._done += not failed
        self._failed += failed
        self.look()

    def _facts(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._n} cells done, {len(self._running)} running{failed}"

    def _rounds(self, cell: Cell) -> int:
        return rounds_of(self._path_of(cell))


class Lines(Quiet):
    """A line when a cell ends, and one now and then on those that are running."""

    def __init__(self, paced: Paced) -> None:
        self._paced = paced
        self._running: Sequence[Cell] = ()

    def begin(self, cells: Sequence[Cell], n_finished: int, path_of: Callable[[Cell], Path]) -> None:
        self._path_of, self._n_ended, self._n = path_of, n_finished, len(cells) + n_finished

    def running(self, cells: Sequence[Cell]) -> None:
        self._running = cells

    def look(self) -> None:
        if not self._paced.due or not self._running:
            return
        first = self._running[:MOST_NAMED]
        at = [f"{c.name}: round {rounds_of(self._path_of(c))} of {c.experiment.rounds}" for c in first]
        n_more = len(self._running) - len(first)
        self._paced.line(f"running: {'; '.join(at)}" + (f"; and {n_more} more" if n_more else ""))

    def ended(self, cell: Cell, failed: bool) -> None:
        self._n_ended += 1
        how = "failed" if failed else "done"
        self._paced.line(f"cell {self._n_ended} of {self._n} {how}: {cell.name}", pressing=True)


def rounds_of(path: Path) -> int:
    """Rounds that the table of a run has."""
    try:
        return max(0, (path / "rounds.csv").read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


@contextlib.contextmanager
def progress_bar(quiet: bool) -> Iterator[Quiet]:
    """Progress of the sweep on stderr: a bar on a terminal, elsewhere a line a cell."""
    if quiet:
        yield Quiet()
        return
    if not sys.stderr.isatty():
        yield Lines(Paced())
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}  left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress)
