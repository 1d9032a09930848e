"""Clients that are away at random."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.profiles import Keyed


class Random(Availability):
    """Each client is available in each round with the same probability, independently."""

    share: float = Field(gt=0, le=1, description="probability that a client is available in a round")

    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        return bool(rng("available", round_number).random() < self.share)

    def available_many(self, client_ids: np.ndarray, round_number: int, rngs: Keys) -> np.ndarray:
        there: np.ndarray = rngs("available", client_ids, round_number).random() < self.share
        return there
