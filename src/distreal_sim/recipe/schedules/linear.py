"""A straight line from the first learning rate to the last one."""

from __future__ import annotations

from pydantic import Field

from distreal_sim.recipe.schedules import Schedule


class Linear(Schedule):
    """A straight line from local.lr to `final`."""

    final: float = Field(0.0, ge=0, allow_inf_nan=False, description="learning rate of the last round")

    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        return lr + (self.final - lr) * self.share(round_number, rounds)
