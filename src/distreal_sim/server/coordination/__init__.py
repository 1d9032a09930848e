"""Coordination: when clients start, and when the server merges what they sent; one plug-in per file.

A coordination decides by the `Server` alone, which holds what a server can know. The simulation moves the
events (`simulation/steps.py`), so a coordination keeps nothing and draws nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from distreal_sim.base.plugins import Plugin


@dataclass(frozen=True)
class Server:
    """The server's jobs at one moment.

    now_s: simulated time; step_s: time of the server's last step, 0 before the first; n_per_round: the
    experiment's clients_per_round; n_running: jobs that clients are at work on; n_ended: jobs that ended
    since the last step, in whatever way; n_received: those of them whose update was received and accepted;
    timer_rang: whether the time of `Coordination.timer_s` has come since the last step.
    """

    now_s: float
    step_s: float
    n_per_round: int
    n_running: int
    n_ended: int
    n_received: int
    timer_rang: bool = False


class Coordination(Plugin):
    """Decides when clients start and when the server takes a step, which is one merge and one new model.

    Staleness of an update: steps of the server between the start of its job and its arrival.

    overlaps: whether the jobs that are still running at a step go on, so that their updates arrive later and
    are stale; if not, the step cancels them. in_rounds: whether rounds follow each other by a fixed formula
    instead of by events. moves: what an update stands for at the merge, its client's `model`, or the `change`
    that the client made to the model that it was sent, added to the present model; the same for an update
    that is not stale.
    """

    package: ClassVar[str] = "distreal_sim.server.coordination"
    label: ClassVar[str] = "coordination"

    overlaps: ClassVar[bool] = False
    in_rounds: ClassVar[bool] = False
    moves: ClassVar[str] = "change"

    def most_running(self, n_per_round: int) -> int:
        """The most clients that are at work at any time."""
        return n_per_round

    def n_merged(self, n_per_round: int) -> int:
        """Updates in a usual step, for estimates."""
        return n_per_round

    @abstractmethod
    def n_to_start(self, server: Server) -> int:
        """Clients to start now, 0 or more; asked when all events of a moment have been handled.

        Fewer start if fewer are idle and available.
        """

    @abstractmethod
    def is_due(self, server: Server) -> bool:
        """Whether the server takes its next step now; asked after every event."""

    def timer_s(self, server: Server) -> float:
        """Time of an event of the server's own, inf for none; asked after every step.

        Of the events at one time it is the last.
        """
        return float("inf")

    def accepts(self, staleness: int) -> bool:
        """Whether an update of this staleness is merged."""
        return True

    def least_received(self, n_per_round: int) -> int:
        """Updates of a step below which it is abandoned: they are refused, and the model stays as it is."""
        return 0

    @property
    def compares(self) -> bool:
        """Whether the updates of a step are compared before they are weighed, so that `weight` gets their
        deviation.
        """
        return False

    def weight(self, staleness: int, deviation: float = 1.0) -> float:
        """Factor of an update's weight in the merge.

        deviation: where the coordination `compares`, squared distance of a stale update's change from the
        mean change of the fresh ones of its step, as a share of the largest one.
        """
        return 1.0

    @property
    def dilutes(self) -> bool:
        """Whether a client counts, with no change, also where it trained nothing."""
        return False

    def rate(self, weights: Sequence[float]) -> float:
        """How far the server moves from its model towards the merged one, 1 for all the way.

        weights: those of the merged updates, at least one.
        """
        return 1.0
