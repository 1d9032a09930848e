"""Sends the rounds of a run to its trackers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.client.messages import State
from distreal_sim.config import Experiment, flat_keys
from distreal_sim.results.trackers import Log, Tracked, Tracker
from distreal_sim.simulation.callbacks import OnRound
from distreal_sim.simulation.rows import RoundRow


@contextlib.contextmanager
def tracked(
    trackers: Sequence[Tracker], experiment: Experiment, path: Path, on_round: OnRound
) -> Iterator[OnRound]:
    """Within the block, a function that sends a round to trackers and then calls on_round.

    path: the run's directory. Logs are opened with the first round, so that a run without one leaves no
    files. Raises InputError where a tracker's library is missing, RunError where a tracker fails.
    """
    for tracker in trackers:
        tracker.check()
    logs: list[tuple[str, Log]] = []

    def sent(row: RoundRow, state: State) -> None:
        if not logs:
            run = _described(experiment, path, row.round)
            for tracker in trackers:
                with _naming(f"tracker {tracker.name}"):
                    logs.append((tracker.name, tracker.open(run)))
        values = {k: float(v) for k, v in row.cells.items() if v is not None and k != "round"}
        for name, log in logs:
            with _naming(f"tracker {name}, round {row.round},"):
                log.write(row.round, values)
        on_round(row, state)

    finished = False
    try:
        yield sent if trackers else on_round
        finished = True
    finally:
        for name, log in logs:
            with _naming(f"tracker {name}"):
                log.close(finished)


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:  # whatever a library or a user's code raises
        text = " ".join(str(error).split())
        raise RunError(
            f"{what} fails with {type(error).__name__}: {text}; --resume goes on, also without the tracker"
        ) from error


def _described(experiment: Experiment, path: Path, first_round: int) -> Tracked:
    """A longer run in the same directory is the same one for a tracker."""
    title = f"{experiment.name}-{experiment.method.name}-{experiment.seed}"
    identity = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    return Tracked(path, title, identity, first_round, flat_keys(experiment.resolved()))
