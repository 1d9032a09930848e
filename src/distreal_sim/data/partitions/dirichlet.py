"""Label skew by Dirichlet draws, in the two forms that the literature uses under one name.

by_class: for each class, the shares of the clients are one draw of Dirichlet(alpha, ..., alpha).
M. Yurochkin et al. Bayesian Nonparametric Federated Learning of Neural Networks. ICML 2019, and with the
redraw until every client has min_examples Q. Li et al. Federated Learning on Non-IID Data Silos. ICDE 2022
(NIID-Bench). Sizes follow from the draw.

by_client: each client's class mix is one draw of Dirichlet(alpha * p), p the class shares of the whole
training set, so that alpha is the sum over the classes, not the value for each. T.-M. H. Hsu et al.
Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification. 2019. Sizes
are free.

Differs from the papers: by_client visits the clients in random order, so that a mix bent by classes that
have run out does not always fall on the last ids; NIID-Bench redraws for ever, we stop with an error.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import Sizes, by_owner, check_n_clients, draw_sizes, sizes_remedy

_DRAWS = 100


class Dirichlet(Partition):
    """Label skew: the smaller alpha, the fewer classes a client holds; alpha = inf deals out equal mixes."""

    by_class: ClassVar[bool] = True

    alpha: float = Field(gt=0, examples=[0.5, 0.1, float("inf")], description="concentration")
    variant: Literal["by_class", "by_client"] = Field(
        "by_class", description="Dirichlet over the clients per class, or over the classes per client"
    )
    min_examples: int = Field(1, ge=1, description="by_class is redrawn until every client has these")
    sizes: Sizes = Field("equal", description="sizes of the clients, for by_client")
    sigma: float = Field(1.0, ge=0, le=10, description="standard deviation of log size, for lognormal")

    def remedy(self) -> str:
        """by_class can ask for more; by_client sets the sizes."""
        if self.variant == "by_class":
            return f"set partition.min_examples={self.min_examples + 1}, raise alpha or lower n_clients"
        return sizes_remedy(self.sizes)

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        """Raises InputError, too, if min_examples is not met in 100 draws."""
        n = check_n_clients(len(labels), n_clients, self.name, self.min_examples)
        totals = np.bincount(labels)
        present = np.flatnonzero(totals)
        draw = self._by_class if self.variant == "by_class" else self._by_client
        counts = draw(totals[present], n, rng)
        owner = np.empty(len(labels), dtype=np.int64)
        for label, row in zip(present, counts, strict=True):
            owner[rng.permutation(np.flatnonzero(labels == label))] = np.repeat(np.arange(n), row)
        return by_owner(owner, n)

    def _by_class(self, totals: np.ndarray, n_clients: int, rng: np.random.Generator) -> np.ndarray:
        """totals: (K,) examples of each class -> (K, n_clients) how many of them each client gets."""
        best = 0
        for _ in range(_DRAWS):
            if np.isinf(self.alpha):
                shares = np.full((len(totals), n_clients), 1 / n_clients)
            else:
                shares = rng.dirichlet(np.full(n_clients, self.alpha), size=len(totals))
            cuts = np.floor(np.cumsum(shares, axis=1) * totals[:, None] + 1e-9).astype(np.int64)
            cuts[:, -1] = totals
            counts: np.ndarray = np.diff(np.minimum(cuts, totals[:, None]), axis=1, prepend=0)
            fewest = int(counts.sum(axis=0).min())
            if fewest >= self.min_examples:
                return counts
            best = max(best, fewest)
        raise InputError(
            f"partition dirichlet with alpha {self.alpha}: in {_DRAWS} draws the smallest of {n_clients} "
            f"clients never had more than {best} examples, min_examples is {self.min_examples}; "
            "raise alpha, lower n_clients or min_examples, or use variant: by_client, which sets the sizes"
        )

    def _by_client(self, totals: np.ndarray, n_clients: int, rng: np.random.Generator) -> np.ndarray:
        """totals: (K,) examples of each class -> (K, n_clients) how many of them each client gets."""
        sizes = draw_sizes(int(totals.sum()), n_clients, self.sizes, self.sigma, rng)
        prior = totals / totals.sum()
        if np.isinf(self.alpha):
            mixes = np.tile(prior, (n_clients, 1))
        else:
            mixes = rng.dirichlet(self.alpha * prior, n_clients)
        left = totals.copy()
        counts = np.zeros((n_clients, len(totals)), dtype=np.int64)
        for client in rng.permutation(n_clients):
            needed = int(sizes[client])
            while needed:
                mix = np.where(left > 0, mixes[client], 0.0)
                # None of the client's classes is left: it takes what there is.
                mix = mix if mix.sum() > 0 else left.astype(float)
                got = np.minimum(rng.multinomial(needed, mix / mix.sum()), left)
                counts[client] += got
                left -= got
                needed -= int(got.sum())
        return counts.T
