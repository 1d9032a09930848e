"""The natural partition: a client is a writer (FEMNIST users; MNIST digits with QMNIST's writer file)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import by_size


class ByWriter(Partition):
    """One client per writer with at least min_examples, in the order of the writers' numbers.

    n_clients may be left out: all those writers. A smaller n_clients takes a random subset of them. The
    examples of the other writers are nobody's.
    """

    min_examples: int = Field(1, ge=1, description="writers with fewer training examples are left out")

    def remedy(self) -> str:
        """Leaves out the writers with few examples."""
        return f"set partition.min_examples={self.min_examples + 1}, which leaves such writers out"

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        if writers is None:
            raise InputError(
                "partition by_writer needs a data set that names the writers: femnist, text and pfllib do, "
                "table with writer_column, arrays with an array `writers`, and mnist with QMNIST's file "
                "qmnist-train-labels-idx2-int in data_dir/QMNIST/raw"
            )
        _, client, counts = np.unique(writers, return_inverse=True, return_counts=True)
        eligible = np.flatnonzero(counts >= self.min_examples)
        n = len(eligible) if n_clients is None else n_clients
        if not 1 <= n <= len(eligible):
            raise InputError(
                f"partition by_writer: {len(eligible)} of {len(counts)} writers have at least "
                f"{self.min_examples} training examples, n_clients is {n}; it can be 1 to "
                f"{len(eligible)}, or left out"
            )
        chosen = eligible if n == len(eligible) else np.sort(rng.choice(eligible, n, replace=False))
        kept = np.zeros(len(counts), dtype=bool)
        kept[chosen] = True
        order = np.argsort(client, kind="stable")
        return by_size(order[kept[client[order]]], counts[chosen])
