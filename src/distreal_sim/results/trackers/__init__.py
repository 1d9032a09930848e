"""Trackers: where the rows of rounds.csv are sent while a run goes on; one plug-in a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from distreal_sim.base.plugins import Plugin


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run.

    path: its directory; title: a label for readers; identity: 16 hex digits of the directory, the same after
    a resume; first_round: the first one that is sent now; config: every key by its dotted name.
    """

    path: Path
    title: str
    identity: str
    first_round: int
    config: Mapping[str, Any]


class Log(ABC):
    """An open log of one run."""

    @abstractmethod
    def write(self, round_number: int, values: Mapping[str, float]) -> None:
        """Takes a round; values: the numbers in its row of rounds.csv by column, but for `round`."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """Ends the log. finished: whether the run was played to its end."""


class Tracker(Plugin):
    """A place to which a run sends its rounds; results do not depend on it."""

    package: ClassVar[str] = "distreal_sim.results.trackers"
    label: ClassVar[str] = "tracker"

    def check(self) -> None:
        """Raises InputError where a library is missing; called before the first round."""

    @abstractmethod
    def open(self, run: Tracked) -> Log:
        """The log of a run, new or resumed; called after the first round that is sent."""
