"""Levels over time that a test writes down."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pieces:
    """levels[i] holds from ends[i - 1] (0 for the first) to ends[i]; the last one for ever."""

    levels: Sequence[float]
    ends: Sequence[float] = ()

    def piece(self, t_s: float) -> tuple[float, float]:
        index = bisect_right(self.ends, t_s)
        return self.levels[index], self.ends[index] if index < len(self.ends) else math.inf
