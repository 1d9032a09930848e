"""Partitions: how the training examples are dealt out to the clients; one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin


@dataclass(frozen=True)
class Split:
    """Who holds which training examples, in two arrays, so that a fleet costs nothing until it is selected.

    order: (N,) int64 indices of training examples, client after client; offsets: (n_clients + 1,) int64:
    client c holds order[offsets[c]:offsets[c + 1]].
    """

    order: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, client_id: int) -> np.ndarray:
        return self.order[self.offsets[client_id] : self.offsets[client_id + 1]]

    @property
    def sizes(self) -> np.ndarray:
        """(n_clients,) number of examples of each client."""
        return np.diff(self.offsets)


class Partition(Plugin):
    """Deals out training examples.

    disjoint: whether an example has one owner at most; counts_all: whether it names examples by their number
    among all training examples, so that none may be held out before; by_class: whether it needs one class for
    each example.
    """

    package: ClassVar[str] = "distreal_sim.data.partitions"
    label: ClassVar[str] = "partition"
    disjoint: ClassVar[bool] = True
    counts_all: ClassVar[bool] = False
    by_class: ClassVar[bool] = False

    @classmethod
    def adapt(cls, target: Any) -> type[Self] | None:
        """None. Raises InputError for a partitioner of flwr-datasets, which is given in another way."""
        if str(getattr(target, "__module__", "")).startswith("flwr_datasets."):
            raise InputError(
                f"{target.__name__} is a partitioner of flwr-datasets: write {{name: flower, partitioner: "
                f"{target.__name__}, options: {{...}}}}"
            )
        return None

    def remedy(self) -> str:
        """A change of the config that gives the client with the fewest examples more."""
        return "lower n_clients"

    @abstractmethod
    def split(
        self, labels: np.ndarray, writers: np.ndarray | None, n_clients: int | None, rng: np.random.Generator
    ) -> Split:
        """A cover of the N examples by n_clients non-empty clients, disjoint unless the partition says that
        it is not; a function of its arguments.

        labels: y of the training examples, (N,) int64 if `by_class`; writers: (N,) int64 or None; n_clients:
        None where the data or a file decide.
        Raises InputError when the cover is impossible (fewer examples than clients, no writers, ...).
        """
