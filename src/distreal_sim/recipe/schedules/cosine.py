"""Half a cosine from the first learning rate to the last one.

Loshchilov, Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts. ICLR 2017, arXiv 1608.03983; here
without restarts.
"""

from __future__ import annotations

import math

from pydantic import Field

from distreal_sim.recipe.schedules import Schedule


class Cosine(Schedule):
    """Half a cosine from local.lr to `final`."""

    final: float = Field(0.0, ge=0, allow_inf_nan=False, description="learning rate of the last round")

    def after_warmup(self, lr: float, round_number: int, rounds: int) -> float:
        turn = math.cos(math.pi * self.share(round_number, rounds))
        return self.final + (lr - self.final) * (1 + turn) / 2
