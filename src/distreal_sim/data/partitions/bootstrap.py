"""As many clients as wanted, who share examples: each holds a bootstrap sample of the training set.

For fleets with more clients than the data set has examples. A larger fleet then brings more devices, not more
data (our choice).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import Sizes, by_size, check_given, draw_sizes


class Bootstrap(Partition):
    """Every example that a client holds is drawn from all training examples, with replacement.

    With a finite alpha a client draws the class first, from a mix of its own, which is one draw of
    Dirichlet(alpha * p), p the class shares of the training set: as in dirichlet's variant by_client.
    """

    disjoint: ClassVar[bool] = False

    examples: int = Field(
        ge=1, examples=[20], description="examples of a client; the mean, for lognormal sizes"
    )
    alpha: float = Field(
        float("inf"), gt=0, description="concentration of the class mixes; inf: no label skew"
    )
    sizes: Sizes = Field("equal", description="sizes of the clients: equal or lognormal")
    sigma: float = Field(1.0, ge=0, le=10, description="standard deviation of log size, for lognormal")

    def remedy(self) -> str:
        """How many examples a client draws is an option."""
        unequal = "set partition.sizes=equal or " if self.sizes == "lognormal" else ""
        return f"{unequal}raise partition.examples ({self.examples})"

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        n = check_given(n_clients, self.name)
        sizes = draw_sizes(n * self.examples, n, self.sizes, self.sigma, rng)
        if np.isinf(self.alpha):
            return by_size(rng.integers(len(labels), size=int(sizes.sum())), sizes)
        totals = np.bincount(labels)
        present = np.flatnonzero(totals)
        mixes = rng.dirichlet(self.alpha * totals[present] / len(labels), n)
        drawn = np.repeat(np.tile(present, n), rng.multinomial(sizes, mixes).ravel())
        order = np.empty(len(drawn), np.int64)
        for label in present:
            own = np.flatnonzero(drawn == label)
            order[own] = rng.choice(np.flatnonzero(labels == label), len(own))
        return by_size(order, sizes)
