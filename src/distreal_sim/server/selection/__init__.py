"""Selection: which clients take part; one plug-in per file.

A selection sees what a server can know (`Pool`), and of past jobs what the server was told (`Facts`). It
keeps nothing: its memory goes in and comes out, as arrays that a checkpoint can hold.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from distreal_sim.base.plugins import Plugin
from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Facts

Ask = Callable[[np.ndarray], np.ndarray]
"""ask(ids): (m,) client ids -> (m,) answers."""

Losses = Callable[[np.ndarray, int, float], np.ndarray]
"""losses(ids, n_batches, wait_s): (m,) mean losses of the present model on so many mini-batches of each
client's examples, or with 0 on all of them; -inf for a client that has not answered after wait_s, and NaN
where nothing is computed."""

Gradients = Callable[[np.ndarray, float], Sequence[np.ndarray | None]]
"""gradients(ids, wait_s): gradient of the present model on each client's examples, as one vector; None for a
client that has not answered after wait_s, and where nothing is computed."""


def no_losses(client_ids: np.ndarray, n_batches: int, wait_s: float) -> np.ndarray:
    """Where there is no model: NaN."""
    return np.full(len(client_ids), np.nan)


def no_gradients(client_ids: np.ndarray, wait_s: float) -> Sequence[None]:
    """Where there is no model: None."""
    return [None] * len(client_ids)


class Pool(NamedTuple):
    """The clients at the moment of a selection, as the server knows them.

    number: of the round, or of the dispatch of jobs; size: clients that are wanted; sizes: (n_clients,)
    number of examples of each; deadline_s: of a job; there: (m,) bool, which clients can start now;
    there_next: the same for the next selection, as they foresee it; expected_s: seconds that their planned
    work with the whole network takes at their present capacity, as they answer when asked; rngs: generators
    keyed by the seed and the number; losses, gradients: ask clients for these, if `Selection.asks`, which
    takes time and traffic.
    """

    number: int
    size: int
    sizes: np.ndarray
    deadline_s: float
    there: Ask
    there_next: Ask
    expected_s: Ask
    rngs: Rngs
    losses: Losses = no_losses
    gradients: Gradients = no_gradients

    @property
    def n_clients(self) -> int:
        return len(self.sizes)


class Selection(Plugin):
    """Chooses the clients that start.

    remembers: whether it keeps a memory; a selection without one is asked for many rounds at once.
    """

    package: ClassVar[str] = "distreal_sim.server.selection"
    label: ClassVar[str] = "selection"

    remembers: ClassVar[bool] = False

    @property
    def asks(self) -> bool:
        """Whether it asks clients for losses or gradients of the model before it selects."""
        return False

    @abstractmethod
    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        """(ids of at most `pool.size` clients that can start, the memory after it); fewer if there are fewer.

        memory: empty at first.
        """

    def learn(self, memory: Arrays, number: int, facts: Sequence[Facts]) -> Arrays:
        """The memory after a round, or a step of the server.

        number: of the round or step; facts: of the jobs that ended in it.
        """
        return memory
