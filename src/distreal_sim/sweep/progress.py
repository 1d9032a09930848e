"""What a sweep shows while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from distreal_sim.base.progress import Silent
from distreal_sim.sweep.cells import Cell

MOST_NAMED = 3
"""Cells that a line on those that are running names."""


class SweepShown:
    """Is told how a sweep goes on, and shows it, by the rounds of all cells that are played in this call."""

    def __init__(self, progress: Silent | None = None) -> None:
        self._progress = progress or Silent()
        self._running: Sequence[Cell] = ()
        self._n_failed = 0

    def begin(self, cells: Sequence[Cell], n_finished: int, path_of: Callable[[Cell], Path]) -> None:
        """The cells that will be played, and how many others were finished before."""
        self._path_of, self._n_done, self._n = path_of, n_finished, len(cells) + n_finished
        self._played = {cell.hash: self._rounds(cell) for cell in cells}
        self._before = sum(self._played.values())
        self._progress.begin("sweep", sum(cell.experiment.rounds for cell in cells) - self._before)
        self._update()

    def running(self, cells: Sequence[Cell]) -> None:
        """The cells that are being played now."""
        self._running = cells
        self._update()

    def look(self) -> None:
        """Time has passed."""
        self._update()
        if self._running:
            self._progress.line(self._where)

    def ended(self, cell: Cell, failed: bool) -> None:
        """A cell was played to its end, or failed."""
        self._running = [other for other in self._running if other.hash != cell.hash]
        self._played[cell.hash] = cell.experiment.rounds
        self._n_done += not failed
        self._n_failed += failed
        self._update()
        n_ended, how = self._n_done + self._n_failed, "failed" if failed else "done"
        self._progress.line(lambda: f"cell {n_ended} of {self._n} {how}: {cell.name}", pressing=True)

    def _update(self) -> None:
        self._played |= {cell.hash: self._rounds(cell) for cell in self._running}
        now = max(0, sum(self._played.values()) - self._before)
        failed = f", {self._n_failed} failed" if self._n_failed else ""
        facts = f"{self._n_done} of {self._n} cells done, {len(self._running)} running{failed}"
        self._progress.update(now, facts)

    def _where(self) -> str:
        """The rounds of the first running cells."""
        first = self._running[:MOST_NAMED]
        at = [f"{c.name}: round {self._rounds(c)} of {c.experiment.rounds}" for c in first]
        n_more = len(self._running) - len(first)
        return f"running: {'; '.join(at)}" + (f"; and {n_more} more" if n_more else "")

    def _rounds(self, cell: Cell) -> int:
        """Rounds that the table of a run has."""
        try:
            return max(0, (self._path_of(cell) / "rounds.csv").read_bytes().count(b"\n") - 1)
        except OSError:
            return 0
