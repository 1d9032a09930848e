"""Timelines of profiles that are not the package's own, checked wherever they are asked.

A level that is negative, an end that does not come, and a bound that does not hold would give wrong times, or
none: they end the command with one line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.profiles import Profile, Timeline, Timelines

SLACK = 1e-9
"""Relative error of a level that is taken for rounding, where it is compared with the bound."""


def is_ours(profile: Profile) -> bool:
    """Whether the profile is one of the package's, whose timelines are tested and need no look."""
    return "." not in profile.name


def check_bound(profile: Profile) -> float:
    """`profile.lower_bound()`. Raises InputError unless it is a number from 0 on."""
    bound = profile.lower_bound()
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number) or not bound >= 0:
        raise InputError(f"profile {profile.name}: lower_bound() must be a number from 0 on, not {bound!r}")
    return float(bound)


@dataclass(frozen=True)
class CheckedTimeline:
    """The timeline of a client; raises InputError naming the client and the time where it cannot be right."""

    timeline: Timeline
    profile: Profile
    client_id: int

    def piece(self, t_s: float) -> tuple[float, float]:
        """See `Timeline`."""
        answer = self.timeline.piece(t_s)
        try:
            level, end_s = map(float, answer)
        except (TypeError, ValueError):
            where = f"profile {self.profile.name}: client {self.client_id}, t = {t_s:g} s"
            raise InputError(f"{where}: piece() must return (level, end_s), not {answer!r}") from None
        bound = check_bound(self.profile)
        if not (level >= bound * (1 - SLACK) and end_s > t_s):
            raise InputError(_fault(self.profile, self.client_id, t_s, level, end_s, bound))
        return level, end_s


@dataclass(frozen=True, eq=False)
class CheckedTimelines:
    """The timelines of n clients; client_ids: (n,) whose they are."""

    timelines: Timelines
    profile: Profile
    client_ids: np.ndarray

    def piece(self, rows: np.ndarray, t_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Timelines`."""
        level, end_s = self.timelines.piece(rows, t_s)
        bound = check_bound(self.profile)
        right = (level >= bound * (1 - SLACK)) & (end_s > t_s)
        if not right.all():
            i = int(np.argmin(right))
            client_id = int(self.client_ids[rows[i]])
            facts = float(t_s[i]), float(level[i]), float(end_s[i])
            raise InputError(_fault(self.profile, client_id, *facts, bound))
        return level, end_s


def _fault(profile: Profile, client_id: int, t_s: float, level: float, end_s: float, bound: float) -> str:
    where = f"profile {profile.name}: client {client_id}, t = {t_s:g} s"
    if math.isnan(level) or level < 0:
        return f"{where}: the level is {level:g}; it must be at least 0"
    if not end_s > t_s:
        return f"{where}: the level ends at {end_s:g} s; it must end after t (inf: never)"
    return f"{where}: the level {level:g} is below the profile's lower_bound() of {bound:g}"
