"""Label shards: a client holds few classes.

B. McMahan, E. Moore, D. Ramage, S. Hampson, B. Aguera y Arcas. Communication-Efficient Learning of Deep
Networks from Decentralized Data. AISTATS 2017, section 3: sorted by label, cut into equal shards, two for
each client. Differs from the paper: within a label the order is random, and the shards differ by one example
where the cut is not even.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import by_owner, check_n_clients


class Shards(Partition):
    """Each client gets classes_per_client shards of equal size, drawn at random.

    A client holds at most that many classes where class sizes are multiples of the shard size; a shard that
    straddles a class boundary brings another.
    """

    by_class: ClassVar[bool] = True

    classes_per_client: int = Field(ge=1, examples=[2, 1], description="shards of one class per client")

    def remedy(self) -> str:
        """A client of few shards holds little."""
        return f"raise partition.classes_per_client ({self.classes_per_client}) or lower n_clients"

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        n = check_n_clients(len(labels), n_clients, self.name)
        n_shards = n * self.classes_per_client
        if n_shards > len(labels):
            raise InputError(
                f"partition shards needs {n} x {self.classes_per_client} = {n_shards} non-empty shards, "
                f"there are {len(labels)} training examples; n_clients can be at most "
                f"{len(labels) // self.classes_per_client}"
            )
        shuffled = rng.permutation(len(labels))
        by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
        shard = np.arange(len(labels)) * n_shards // len(labels)
        client_of_shard = rng.permutation(np.repeat(np.arange(n), self.classes_per_client))
        owner = np.empty(len(labels), dtype=np.int64)
        owner[by_label] = client_of_shard[shard]
        return by_owner(owner, n)
