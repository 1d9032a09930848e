"""A cell, or another shared channel, of which every selected client gets an equal part."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.base.nested import code_of
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import Inner, inner_link
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Cell(Links):
    """Speed = the smaller of the cell's speed / selected clients and that of the client's own link (`of`).

    The parts are allotted for the whole round, as in frequency division: a client that is done leaves
    nothing to the others.
    """

    of: Inner = Field(
        examples=[{"name": "unlimited"}], description="the clients' own links, with their latency"
    )
    download_bytes_per_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[2e7], description="speed of the whole cell to its clients"
    )
    upload_bytes_per_s: float = Field(
        gt=0, allow_inf_nan=False, examples=[5e6], description="speed of all its clients together"
    )
    most_clients: int = Field(
        100, ge=1, description="clients that share it at most; method.width `auto` counts with them"
    )

    @property
    def code(self) -> tuple[str, ...]:
        return code_of(self.of)

    @for_many
    def link(self, client_id: OneOrMany, use: Use, rng: Source) -> Link:
        return self._shared(inner_link(self.of, client_id, use, rng), np.maximum(use.n_selected, 1))

    def slowest(self) -> Link:
        return self._shared(self.of.slowest(), self.most_clients)

    def _shared(self, own: Link, n_clients: OneOrMany) -> Link:
        down, up, latency_s = own
        return Link(
            np.minimum(down, self.download_bytes_per_s / n_clients),
            np.minimum(up, self.upload_bytes_per_s / n_clients),
            latency_s,
        )
