"""Device classes whose capacity is not certain: below the mean of the class by a random amount.

Chen, Jia, Hu, Xie, Li, Chen. FlexFL: Heterogeneous Federated Learning via APoZ-Guided Flexible Pruning in
Uncertain Scenarios. IEEE TCAD, 2024 (arXiv 2407.12729); the defaults are those of its public code, in which
`sigmas: [0]` (certain) and `[0.1, 0.2, 0.3]` are two more variants.

Differs from the paper: capacity there bounds the parameters of a sub-model and is drawn when a client is
sent its job; here it is a speed, drawn at every multiple of `deadline_s`, which is where rounds begin
(`round_end: fixed`), with a key of its own, so that all methods meet the same capacities.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.profiles._levels import Level, Shares, cumulative, picker
from distreal_sim.devices.regular import Regular, normal, of_rows, rng_of
from distreal_sim.devices.rngs import OneOrMany, Source, for_many

Sigma = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Uncertain(Profile):
    """Level of a client in a round: max(low, mean of its class - |N(0, sigma)|), drawn in every round.

    A client belongs to one class, with the given shares, and has one of `sigmas`, with equal shares.
    """

    means: tuple[Level, ...] = Field((0.35, 0.6, 1.1), min_length=1, description="mean of each class")
    shares: Shares = Field((0.4, 0.3, 0.3), description="share of each class, summing to 1; (): equal")
    sigmas: tuple[Sigma, ...] = Field(
        (0.05, 0.08, 0.1), min_length=1, description="a client's sigma is one of these; 0: certain"
    )
    low: float = Field(0.01, ge=0, allow_inf_nan=False, description="smallest level")

    @model_validator(mode="after")
    def _check(self) -> Uncertain:
        cumulative(self.means, self.shares)
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Regular:
        mean = picker(self.means, self.shares)(rng("class").random())
        sigma = picker(self.sigmas, ())(rng("sigma").random())

        def level(k: OneOrMany, rows: np.ndarray | None) -> OneOrMany:
            short = np.abs(of_rows(sigma, rows) * normal(rng_of(rng, rows)("short", k).random()))
            return np.maximum(of_rows(mean, rows) - short, self.low)

        return Regular(deadline_s, level)

    def lower_bound(self) -> float:
        return self.low
