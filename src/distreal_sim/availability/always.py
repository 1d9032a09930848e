"""Every client can always be selected."""

from __future__ import annotations

from distreal_sim.availability import Availability
from distreal_sim.profiles import Keyed


class Always(Availability):
    """No client is ever away."""

    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        return True
