"""What is remembered of single clients, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distreal_sim.client.messages import Arrays

IDS = "client_ids"


class Records:
    """A number of values for each client that was heard of; all others have none.

    columns: names of the values.
    """

    def __init__(self, memory: Arrays, columns: Sequence[str]) -> None:
        ids = memory.get(IDS, np.zeros(0, np.int64)).tolist()
        values = [memory[name].tolist() if name in memory else [] for name in columns]
        self._columns = tuple(columns)
        self.of: dict[int, dict[str, float]] = {
            client_id: dict(zip(columns, row, strict=True))
            for client_id, *row in zip(ids, *values, strict=True)
        }

    def arrays(self) -> Arrays:
        """The memory that holds them, by ascending id."""
        ids = sorted(self.of)
        found = {IDS: np.array(ids, np.int64)}
        return found | {name: np.array([self.of[i][name] for i in ids], float) for name in self._columns}

    def values(self, name: str, client_ids: Sequence[int], otherwise: float) -> np.ndarray:
        """(m,) values of these clients."""
        return np.array([self.of[i][name] if i in self.of else otherwise for i in client_ids], float)
