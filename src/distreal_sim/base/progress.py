"""Progress of a long command on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

EVERY_WALL_S = 5.0
"""Seconds between two lines that are not pressing."""


class Silent:
    """Shows nothing; the base of what shows something."""

    def begin(self, what: str, total: int) -> None:
        """A stage begins, of so many steps; it takes the place of the one before."""

    def update(self, done: int, facts: str) -> None:
        """So many steps of the stage are done; facts: for the bar."""

    def line(self, text: Callable[[], str], *, pressing: bool = False) -> None:
        """Offers a line; text is asked for only where it is printed. pressing: it must not be left out."""


class Bar(Silent):
    """A bar over the steps of a stage, with facts and the time left; it prints no lines."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress

    def begin(self, what: str, total: int) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._task = self._progress.add_task(what, total=total, facts="")

    def update(self, done: int, facts: str) -> None:
        self._progress.update(self._task, completed=done, facts=facts)


class Lines(Silent):
    """Prints a line if it is pressing, or EVERY_WALL_S seconds after the last one."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._last_wall_s = clock()

    def line(self, text: Callable[[], str], *, pressing: bool = False) -> None:
        if pressing or self._clock() - self._last_wall_s >= EVERY_WALL_S:
            self._last_wall_s = self._clock()
            print(text(), file=self._file or sys.stderr, flush=True)


@contextlib.contextmanager
def progress_on_stderr(shown: bool = True) -> Iterator[Silent]:
    """A bar where stderr is a terminal, lines elsewhere, nothing where it is not to be shown."""
    if not shown:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}  left"),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=Console(stderr=True)) as bar:
            yield Bar(bar)
