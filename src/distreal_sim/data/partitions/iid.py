"""Every client's examples are a uniform draw from the training set."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import Sizes, by_size, check_n_clients, draw_sizes, sizes_remedy


class Iid(Partition):
    """Shuffles the examples and deals them out, in equal or log-normal sizes."""

    sizes: Sizes = Field("equal", description="sizes of the clients: equal or lognormal")
    sigma: float = Field(1.0, ge=0, le=10, description="standard deviation of log size, for lognormal")

    def remedy(self) -> str:
        """The log-normal sizes begin at one."""
        return sizes_remedy(self.sizes)

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        n = check_n_clients(len(labels), n_clients, self.name)
        sizes = draw_sizes(len(labels), n, self.sizes, self.sigma, rng)
        return by_size(rng.permutation(len(labels)), sizes)
