"""Checks of the timelines of users' own profiles, before round 1 and at every query.

A negative level, a piece that does not end after the query, a wrong lower bound or pieces without number
would give wrong times or an endless loop; each is an error with client and time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, naming
from distreal_sim.devices.profiles import Profile

SLACK = 1e-9
"""Relative difference between a level and the bound that counts as rounding error."""


MOST_QUERIES = 1_000_000
"""Most queries of a timeline within one deadline_s; more are a profile of (nearly) infinitely many pieces."""

MOST_WALKED = 1000
"""Most pieces of a client that are looked at before round 1."""


def is_ours(profile: Profile) -> bool:
    """Whether the profile is one of the package's, whose timelines are tested and need no check."""
    return "." not in profile.name


def check_bound(profile: Profile) -> float:
    """`profile.lower_bound()`. Raises InputError unless it is a number >= 0."""
    bound = profile.lower_bound()
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number) or not bound >= 0:
        raise InputError(f"profile {profile.name}: lower_bound() must be a number from 0 on, not {bound!r}")
    return float(bound)


def validate(profile: Profile, ask: Callable[[int], Any], client_ids: Iterable[int], until_s: float) -> None:
    """Walks the checked timelines ask(client_id) from 0 to until_s.

    Raises InputError for the first client whose timeline cannot be right, with the number of others, or with
    the first other exception of the profile.
    """
    faults: list[str] = []
    asked = list(client_ids)
    for client_id in asked:
        with naming(f"profile {profile.name}, asked for client {client_id},"):
            try:
                for _ in zip(range(MOST_WALKED), _ends(ask(client_id), until_s), strict=False):
                    pass
            except InputError as error:
                faults.append(str(error))
    if faults:
        more = f" (and so for {len(faults) - 1} more of the {len(asked)} clients looked at)"
        raise InputError(faults[0] + more * (len(faults) > 1))


def _ends(line: Any, until_s: float) -> Iterator[float]:
    t_s = 0.0
    while t_s < until_s:
        _, t_s = line.piece(t_s)
        yield t_s


@dataclass(eq=False)
class Checked:
    """The timeline of one client, or those of many, with checks; client_id: an int, or (n,) ints.

    Raises InputError naming the client and the time where a result cannot be right, and where a timeline is
    asked more than MOST_QUERIES times within one deadline_s.
    """

    timeline: Any
    profile: Profile
    client_id: int | np.ndarray
    deadline_s: float
    _asked: tuple[float, int] = field(default=(-1.0, 0), init=False)
    """(number of the deadline of the last query, queries within it)"""

    def piece(self, t_s: Any, rows: np.ndarray | None = None) -> tuple[Any, Any]:
        """See `Timeline` and `Timelines`."""
        answer = self.timeline.piece(t_s) if rows is None else self.timeline.piece(t_s, rows)
        asked_s = np.atleast_1d(t_s)
        client_ids = np.atleast_1d(self.client_id)[0 if rows is None else rows]
        self._count(asked_s, client_ids)
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

    def _count(self, asked_s: np.ndarray, client_ids: np.ndarray) -> None:
        """Counts a query. Of many clients those count that are asked for the earliest time."""
        if not len(asked_s):
            return
        first = int(np.argmin(asked_s))
        number = float(asked_s[first] // self.deadline_s)
        n_asked = self._asked[1] + 1 if self._asked[0] == number else 1
        self._asked = number, n_asked
        if n_asked > MOST_QUERIES:
            where = _where(self.profile, np.ravel(client_ids)[first], asked_s[first])
            raise InputError(
                f"{where}: more than {MOST_QUERIES:,} pieces within deadline_s ({self.deadline_s:g}); let "
                "the level change less often"
            )


def _where(profile: Profile, client_id: int, t_s: float) -> str:
    return f"profile {profile.name}: client {client_id}, t = {t_s:g} s"


def _fault(t_s: float, level: float, end_s: float, bound: float) -> str:
    if math.isnan(level) or level < 0:
        return f"the level is {level:g}; it must be at least 0"
    if not end_s > t_s:
        return f"the level ends at {end_s:g} s; it must end after t (inf: never)"
    return f"the level {level:g} is below the profile's lower_bound() of {bound:g}"
