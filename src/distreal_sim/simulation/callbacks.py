"""Callbacks: called after every round of a run, they may end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distreal_sim.client.messages import State
from distreal_sim.simulation.rows import RoundRow

OnRound = Callable[[RoundRow, State], None]
"""Called after every round; may raise StopRun."""


def unseen(row: RoundRow, state: State) -> None:
    """Does nothing."""


class StopRun(Exception):  # noqa: N818  (not an error)
    """Raised by a callback to end the run after this round; run.json records its text as the reason."""


class Callback:
    """Called after every round of a run. Where the model is not needed, a function of the row suffices."""

    def on_round(self, row: RoundRow, state: State) -> bool | None:
        """Called after a round is recorded.

        row: the round's row of rounds.csv; state: the method's state, with the parameters by name in
        `state.arrays`; it must not be changed. Returning True or raising StopRun ends the run after this
        round; the run can be resumed.
        """
        return None


AnyCallback = Callback | Callable[[RoundRow], object]


def together(callbacks: Sequence[AnyCallback]) -> OnRound:
    """One function that calls all callbacks in order, then raises StopRun if one of them stops the run."""

    def on_round(row: RoundRow, state: State) -> None:
        stop: StopRun | None = None
        for callback in callbacks:
            try:
                told = callback.on_round(row, state) if isinstance(callback, Callback) else callback(row)
                if told is True:
                    raise StopRun(f"{_name(callback)} returned True")
            except StopRun as raised:
                reason = str(raised) or f"{_name(callback)} raised StopRun"
                stop = stop or StopRun(f"round {row.round}: {reason}")
        if stop is not None:
            raise stop

    return on_round


def _name(callback: AnyCallback) -> str:
    return getattr(callback, "__name__", type(callback).__name__)
