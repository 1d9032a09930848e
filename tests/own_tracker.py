"""A tracker of somebody else's, named by dotted path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from distreal_sim import Log, Tracked, Tracker


class Lines(Tracker):
    """A line of JSON for each round."""

    file: Path
    fails_in: int = 0

    def open(self, run: Tracked) -> Log:
        return _Lines(self, run)


class _Lines(Log):
    def __init__(self, tracker: Lines, run: Tracked) -> None:
        self._tracker = tracker
        self._add({"first": run.first_round, "title": run.title, "lr": run.config["local.lr"]})

    def _add(self, line: Mapping[str, object]) -> None:
        with self._tracker.file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def write(self, round_number: int, values: Mapping[str, float]) -> None:
        if round_number == self._tracker.fails_in:
            raise ConnectionRefusedError("nobody listens")
        self._add({"round": round_number, **values})

    def close(self, finished: bool) -> None:
        self._add({"finished": finished})
