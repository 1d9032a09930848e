"""Checks of the timelines of users' own profiles, made at every query.

A negative level, a piece that does not end after the query, or a wrong lower bound would give wrong times or
an endless loop; each ends the command with one line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.profiles import Profile

SLACK = 1e-9
"""Relative difference between a level and the bound that counts as rounding error."""


def is_ours(profile: Profile) -> bool:
    """Whether the profile is one of the package's, whose timelines are tested and need no check."""
    return "." not in profile.name


def check_bound(profile: Profile) -> float:
    """`profile.lower_bound()`. Raises InputError unless it is a number >= 0."""
    bound = profile.lower_bound()
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number) or not bound >= 0:
        raise InputError(f"profile {profile.name}: lower_bound() must be a number from 0 on, not {bound!r}")
    return float(bound)


@dataclass(frozen=True, eq=False)
class Checked:
    """The timeline of one client, or those of many, with checks; client_id: an int, or (n,) ints.

    Raises InputError naming the client and the time where a result cannot be right.
    """

    timeline: Any
    profile: Profile
    client_id: int | np.ndarray

    def piece(self, t_s: Any, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        """See `Timeline` and `Timelines`."""
        answer = self.timeline.piece(t_s) if rows is None else self.timeline.piece(t_s, rows)
        asked_s = np.atleast_1d(t_s)
        client_ids = np.atleast_1d(self.client_id)[0 if rows is None else rows]
        try:
            level, end_s = (np.broadcast_to(np.asarray(part, float), asked_s.shape) for part in answer)
        except (TypeError, ValueError):
            where = _where(self.profile, np.ravel(client_ids)[0], asked_s[0])
            raise InputError(f"{where}: piece() must return (level, end_s), not {answer!r}") from None
        bound = check_bound(self.profile)
        right = (level >= bound * (1 - SLACK)) & (end_s > asked_s)
        if not right.all():
            i = int(np.argmin(right))
            where = _where(self.profile, np.ravel(client_ids)[i], asked_s[i])
            raise InputError(f"{where}: {_fault(asked_s[i], level[i], end_s[i], bound)}")
        return (float(level[0]), float(end_s[0])) if rows is None else (level, end_s)


def _where(profile: Profile, client_id: int, t_s: float) -> str:
    return f"profile {profile.name}: client {client_id}, t = {t_s:g} s"


def _fault(t_s: float, level: float, end_s: float, bound: float) -> str:
    if math.isnan(level) or level < 0:
        return f"the level is {level:g}; it must be at least 0"
    if not end_s > t_s:
        return f"the level ends at {end_s:g} s; it must end after t (inf: never)"
    return f"the level {level:g} is below the profile's lower_bound() of {bound:g}"
