"""The learning rate falls by the same factor in every round."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.recipe.schedules import Schedule


class Exponential(Schedule):
    """Multiplied by `factor` from each round to the next."""

    factor: float = Field(0.99, gt=0, le=1, description="what the rate is multiplied by in every round")

    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        return lr * self.factor ** (round_number - self.warmup_rounds - 1)
