"""A partition that was made elsewhere: a file with the indices of each client's training examples."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import ConfigPath
from distreal_sim.data.partitions import Partition, Split
from distreal_sim.data.partitions._deal import by_size
from distreal_sim.data.partitions._index_files import read_indices


class Indices(Partition):
    """The clients of a json or .npz file, in the order of their numbers or, if they have names, of the file.

    n_clients may be left out: all clients of the file. A smaller n_clients takes a random subset of them.
    Indices count the training examples of the data set from 0; examples that no list names are nobody's.
    """

    counts_all: ClassVar[bool] = True

    file: ConfigPath = Field(
        examples=["clients.json"],
        description="json: {client: [indices]}, or .npz: an array of indices a client",
    )
    shared: bool = Field(False, description="whether several clients may hold the same example")

    def remedy(self) -> str:
        """The lists decide."""
        return f"take the client out of {self.file}, or give it more examples"

    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        lists = read_indices(self.file)
        names = list(lists)
        for name, indices in lists.items():
            if indices.max() >= len(labels):
                raise InputError(
                    f"partition file {self.file}: client {name} has index {indices.max()}, the data set has "
                    f"{len(labels)} training examples, 0 .. {len(labels) - 1}"
                )
        n = len(names) if n_clients is None else n_clients
        if not 1 <= n <= len(names):
            raise InputError(
                f"partition file {self.file} has {len(names)} clients, n_clients is {n}; it can be 1 to "
                f"{len(names)}, or left out"
            )
        order = np.concatenate(list(lists.values()))
        owners = np.repeat(np.arange(len(names)), [len(indices) for indices in lists.values()])
        self._check_owners(order, owners, names, len(labels))
        chosen = (
            np.arange(len(names)) if n == len(names) else np.sort(rng.choice(len(names), n, replace=False))
        )
        kept = np.isin(owners, chosen)
        return by_size(order[kept], np.bincount(owners, minlength=len(names))[chosen])

    def _check_owners(self, order: np.ndarray, owners: np.ndarray, names: list[str], n_examples: int) -> None:
        """Raises InputError where an example stands in two lists, or twice in one."""
        if self.shared:
            return
        twice = np.flatnonzero(np.bincount(order, minlength=n_examples) > 1)
        if len(twice):
            first, second, *_ = owners[order == twice[0]]
            which = (
                f"clients {names[first]} and {names[second]}"
                if first != second
                else f"client {names[first]} twice"
            )
            raise InputError(
                f"partition file {self.file}: example {twice[0]} belongs to {which} ({len(twice):,} such "
                "examples); set partition.shared to true if that is meant"
            )
