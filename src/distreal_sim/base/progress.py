"""Lines on a long command's progress, for stderr that is no terminal: few, and at least one in a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

EVERY_WALL_S = 5.0
"""Seconds between two lines that are not pressing."""


class Paced:
    """Prints a line at most every EVERY_WALL_S seconds, beginning so long after it was made."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._last_wall_s = clock()

    @property
    def due(self) -> bool:
        """Whether the last line is old enough."""
        return self._clock() - self._last_wall_s >= EVERY_WALL_S

    def line(self, text: str, *, pressing: bool = False) -> None:
        """Prints it, if it is pressing or the last line is old enough."""
        if pressing or self.due:
            self._last_wall_s = self._clock()
            print(text, file=self._file or sys.stderr, flush=True)
