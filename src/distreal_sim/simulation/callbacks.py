"""Callbacks: what sees every round of a run, and may end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distreal_sim.client.messages import State
from distreal_sim.simulation.rows import RoundRow

OnRound = Callable[[RoundRow, State], None]
"""Called after every round; may raise StopRun."""


def unseen(row: RoundRow, state: State) -> None:
    """Does nothing."""


class StopRun(Exception):  # noqa: N818  (it is no error)
    """Raised by a callback to end the run after this round. Its text is the reason, for run.json."""


class Callback:
    """Sees every round of a run. A plain function of the row will do where the model is not needed."""

    def on_round(self, row: RoundRow, state: State) -> bool | None:
        """Called once a round is recorded.

        row: the round's row of rounds.csv; state: what the method keeps, `state.arrays` the parameters by
        name, which must not be changed. True ends the run after this round, as raising StopRun does; the run
        can be resumed.
        """
        return None


AnyCallback = Callback | Callable[[RoundRow], object]


def together(callbacks: Sequence[AnyCallback]) -> OnRound:
    """Calls all of them, in order, and raises StopRun after the last if one wants to stop."""

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
