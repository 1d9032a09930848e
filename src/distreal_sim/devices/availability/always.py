"""Every client can always be selected."""

from __future__ import annotations

import numpy as np

from distreal_sim.base.rng_many import Keys
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.profiles import Keyed


class Always(Availability):
    """No client is ever away."""

    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        return True

    def available_many(self, client_ids: np.ndarray, round_number: int, rngs: Keys) -> np.ndarray:
        return np.ones(len(client_ids), bool)
