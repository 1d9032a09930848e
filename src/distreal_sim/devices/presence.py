"""When a client is there in a round, and when it is away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.profiles import Timeline


@dataclass(frozen=True, eq=False)
class Attended:
    """Levels of capacity while clients are there, and 0 while they are away, for one client or for many.

    line: levels of capacity; there: levels above 0 while a client is there. See `devices.processes` for the
    two forms of `piece`.
    """

    line: Any
    there: Any

    def piece(self, t_s: Any, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        """See `Timeline` and `Timelines`."""
        at = (t_s,) if rows is None else (t_s, rows)
        (level, end_s), (there, until_s) = self.line.piece(*at), self.there.piece(*at)
        found, ends_s = np.where(there > 0, level, 0.0), np.minimum(end_s, until_s)
        return (float(found), float(ends_s)) if rows is None else (found, ends_s)


@dataclass(frozen=True)
class Presence:
    """When a client is there, in time relative to the start of its round.

    line: level above 0 while it is there, in absolute time; pauses: whether its work goes on when it is back;
    if not, its round is lost once it leaves.
    """

    line: Timeline
    start_s: float
    pauses: bool

    def back_s(self, t_s: float, until_s: float) -> float:
        """t_s, or when the client is back if it is away then; inf if that is not before until_s."""
        return self._next(t_s, until_s, there=True)

    def leaves_s(self, until_s: float) -> float:
        """When the client leaves for good, as far as its round goes; inf if it stays until until_s."""
        return math.inf if self.pauses else self._next(0.0, until_s, there=False)

    def pieces(self, t_s: float) -> Iterator[tuple[float, float, bool]]:
        """(from_s, to_s, whether it is there) from t_s on."""
        for from_s, to_s, level in Capacity(self.line, 1.0, self.start_s).pieces(t_s):
            yield from_s, to_s, level > 0

    def _next(self, t_s: float, until_s: float, *, there: bool) -> float:
        for from_s, _, is_there in self.pieces(t_s):
            if from_s >= until_s:
                break
            if is_there == there:
                return from_s
        return math.inf
