"""Any partitioner of flwr-datasets, by the name of its class.

https://flower.ai/docs/datasets. Needs the extra `hf`.
"""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import library
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import by_owner, check_n_clients

_MOST_CHARACTERS = 300


def shorten(text: str) -> str:
    """A message on one line, with lists of more than three numbers cut, and not longer than a few lines."""
    text = re.sub(r"\[([^\[\],]+(?:,[^\[\],]+){2}),[^\[\]]*\]", r"[\1, ...]", " ".join(text.split()))
    text = re.sub(r"\[(\S+ \S+ \S+) [^\[\],]*\]", r"[\1 ...]", text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


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
        library("datasets", "load_dataset", "partition flower needs flwr-datasets")
        flower = library("flwr_datasets", "partitioner", "partition flower needs flwr-datasets").partitioner
        kinds = [name for name in flower.__all__ if name != "Partitioner" and "Vertical" not in name]
        if self.partitioner not in kinds:
            raise unknown("flwr-datasets partitioner", self.partitioner, kinds)
        kind = getattr(flower, self.partitioner)
        given = {"num_partitions": n_clients, "partition_by": "label", "seed": int(rng.integers(2**31))}
        known = inspect.signature(kind).parameters
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            taken = {k: v for k, v in given.items() if k in known and v is not None}
            parts = self._deal(kind, taken, columns)
        split = self._checked(parts, len(labels), n_clients)
        # Deprecations within the libraries are nothing that a user of theirs could mend.
        said = [w for w in said if issubclass(w.category, UserWarning)]
        if said:
            shown, more = shorten(str(said[0].message)), f" ({len(said)} warnings)" * (len(said) > 1)
            warnings.warn(f"partition flower, {self.partitioner}: {shown}{more}", stacklevel=2)
        return split

    def _deal(self, kind: Any, given: dict[str, Any], columns: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The examples of each client, as the partitioner deals them out."""
        import datasets

        try:
            dealer = kind(**given | self.options)
            dealer.dataset = datasets.Dataset.from_dict(columns)
            return [
                np.asarray(dealer.load_partition(i)["example"][:], dtype=np.int64)
                for i in range(dealer.num_partitions)
            ]
        except Exception as error:  # whatever outside code raises is about the options it was given
            raise InputError(f"partition flower, {self.partitioner}: {shorten(str(error))}") from error

    def remedy(self) -> str:
        """Options are the partitioner's own."""
        return f"lower n_clients, or see partition.options of {self.partitioner}" + (
            " (min_partition_size)" if self.partitioner == "DirichletPartitioner" else ""
        )

    def _remainder(self) -> str:
        """Advice on the examples that ShardPartitioner leaves over when the shards are full."""
        if self.partitioner != "ShardPartitioner":
            return ""
        return (
            "; set keep_incomplete_shard: true in partition.options to deal out the last shard, which is not "
            "full, and give shard_size or num_shards_per_partition, not both"
        )

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
            raise InputError(f"partition flower: {self.partitioner} {problem}{self._remainder()}")
        owner = np.empty(n_examples, dtype=np.int64)
        owner[np.concatenate(parts)] = np.repeat(np.arange(len(parts)), sizes)
        return by_owner(owner, len(parts))
