"""Every client can always be selected."""

from __future__ import annotations

from distreal_sim.devices.availability import Availability
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Always(Availability):
    """Every client is available in every round."""

    @for_many
    def available(self, client_id: OneOrMany, round_number: int, rng: Source) -> OneOrMany:
        return True
