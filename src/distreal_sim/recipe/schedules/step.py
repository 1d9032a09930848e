"""The learning rate falls at milestones."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.recipe.schedules import Schedule


class Step(Schedule):
    """Multiplied by `factor` at each milestone."""

    milestones: tuple[int, ...] = Field(
        min_length=1, description="rounds of the run, a warm-up included, in which the rate falls"
    )
    factor: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied by at each milestone")

    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        return lr * self.factor ** sum(round_number >= m for m in self.milestones)
