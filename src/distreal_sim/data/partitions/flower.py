"""Any partitioner of flwr-datasets, by the name of its class.

https://flower.ai/docs/datasets. Needs the extra `hf`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import library
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import by_owner, check_n_clients


class Flower(Partition):
    """Runs a flwr-datasets partitioner on the columns `label` and, where known, `writer`.

    num_partitions is n_clients, partition_by is `label` and the seed is drawn from the run's generator unless
    `options` says otherwise. The result must be a disjoint cover by non-empty clients.
    """

    partitioner: str = Field(
        examples=["IidPartitioner", "PathologicalPartitioner"],
        description="class name in flwr_datasets.partitioner",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="further arguments of its constructor, such as num_classes_per_partition: 2",
    )

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        """Raises InputError, too, with what the partitioner says when it refuses."""
        if n_clients is not None:
            check_n_clients(len(labels), n_clients, self.name)
        # Shuffled, as flwr-datasets' FederatedDataset does by default: its IidPartitioner cuts in file order.
        order = rng.permutation(len(labels))
        columns = {"example": order, "label": labels[order]}
        if writers is not None:
            columns["writer"] = writers[order]
        datasets = library("datasets", "load_dataset", "partition flower needs flwr-datasets")
        flower = library("flwr_datasets", "partitioner", "partition flower needs flwr-datasets").partitioner
        kinds = [name for name in flower.__all__ if name != "Partitioner" and "Vertical" not in name]
        if self.partitioner not in kinds:
            raise unknown("flwr-datasets partitioner", self.partitioner, kinds)
        kind = getattr(flower, self.partitioner)
        given = {"num_partitions": n_clients, "partition_by": "label", "seed": int(rng.integers(2**31))}
        known = inspect.signature(kind).parameters
        try:
            dealer = kind(**{k: v for k, v in given.items() if k in known and v is not None} | self.options)
            dealer.dataset = datasets.Dataset.from_dict(columns)
            parts = [
                np.asarray(dealer.load_partition(i)["example"][:], dtype=np.int64)
                for i in range(dealer.num_partitions)
            ]
        except Exception as error:  # whatever outside code raises is about the options it was given
            raise InputError(f"partition flower, {self.partitioner}: {error}") from error
        return self._checked(parts, len(labels), n_clients)

    def _checked(self, parts: list[np.ndarray], n_examples: int, n_clients: int | None) -> Split:
        sizes = np.array([len(part) for part in parts])
        dealt = np.bincount(np.concatenate([np.empty(0, np.int64), *parts]), minlength=n_examples)
        problem = None
        if n_clients not in (None, len(parts)):
            problem = f"made {len(parts)} clients, n_clients is {n_clients}"
        elif not sizes.all():
            problem = f"left client {int(np.argmin(sizes))} without examples"
        elif (dealt != 1).any():
            at = int(np.argmax(dealt != 1))
            problem = f"gave example {at} to {dealt[at]} clients, expected exactly one"
        if problem is not None:
            raise InputError(f"partition flower: {self.partitioner} {problem}")
        owner = np.empty(n_examples, dtype=np.int64)
        owner[np.concatenate(parts)] = np.repeat(np.arange(len(parts)), sizes)
        return by_owner(owner, len(parts))
