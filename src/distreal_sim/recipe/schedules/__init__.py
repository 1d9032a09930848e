"""Schedules: the learning rate as a function of the round; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from distreal_sim.base.plugins import Plugin


class Schedule(Plugin):
    """The learning rate of each round; the same for all clients and all steps of a round."""

    package: ClassVar[str] = "distreal_sim.recipe.schedules"
    label: ClassVar[str] = "learning-rate schedule"

    warmup_rounds: int = Field(
        0,
        ge=0,
        description="rounds before the schedule in which the rate rises in equal parts up to local.lr",
    )

    @abstractmethod
    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        """The learning rate of a round after the warm-up; its first one is round `warmup_rounds` + 1.

        lr: `local.lr`; round_number: 1 ... rounds, of the run.
        """

    def rate(self, lr: float, round_number: int, rounds: int) -> float:
        """The learning rate of round 1 ... rounds: in a warm-up of w rounds lr * round / (w + 1)."""
        if round_number <= self.warmup_rounds:
            return lr * round_number / (self.warmup_rounds + 1)
        return self.after_warmup(lr, round_number, rounds)

    def share(self, round_number: int, rounds: int) -> float:
        """How far a round is from the first one after the warm-up (0) to the last one of the run (1)."""
        first = self.warmup_rounds + 1
        return (round_number - first) / (rounds - first) if rounds > first else 0.0
