"""The same learning rate in every round."""

from __future__ import annotations

from distreal_sim.recipe.schedules import Schedule


class Constant(Schedule):
    """The same learning rate in every round."""

    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        return lr
