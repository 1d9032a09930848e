"""Keyed random numbers of one client or of many, and the mark of plug-in methods that serve many.

Both kinds of generator have `.random()`, so that one body serves: it gives a number for one client and an
array (n,) for n clients, the same numbers bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from distreal_sim.base.rng import generator
from distreal_sim.base.rng_many import streams

OneOrMany = Any
"""Of one client a number; of n clients an array (n,), or a number that they share."""

Keyed = Callable[..., np.random.Generator]
"""rng(purpose, *key): the client's generator of this key, the same whenever it is asked for."""


class Uniform(Protocol):
    """What the generators of one client and of many have in common."""

    def random(self) -> OneOrMany:
        """The next number in [0, 1) of each."""
        ...


Source = Callable[..., Uniform]
"""rng(purpose, *key) of one client or of many."""


@dataclass(frozen=True, eq=False)
class ClientRngs:
    """The generators of one client, or of each of many, for one kind of plug-in.

    client_id: an int, or (n,) ints, repeats allowed. A call's key: integers, or (n,) of them.
    """

    seed: int
    kind: str
    client_id: int | np.ndarray

    def __call__(self, purpose: str, *key: Any) -> Any:
        name = f"{self.kind} {purpose}"
        if isinstance(self.client_id, np.ndarray):
            return streams(self.seed, name, self.client_id, *key)
        return generator(self.seed, name, self.client_id, *key)

    def pick(self, rows: np.ndarray) -> ClientRngs:
        """Those of some of many clients."""
        assert isinstance(self.client_id, np.ndarray)
        return ClientRngs(self.seed, self.kind, self.client_id[rows])


F = TypeVar("F", bound=Callable[..., Any])


def for_many(method: F) -> F:
    """Marks a device plug-in's method whose body serves many clients at once too.

    Its client_id may be an array (n,), and its rng then gives `rng_many.Streams`, which have only `random()`.
    The answer for each client must equal, to the last bit, that for the client alone. A method without the
    mark is asked client by client, also where it overrides one that has it.
    """
    method.for_many = True  # type: ignore[attr-defined]
    return method


def bulk(method: Callable[..., Any]) -> Callable[..., Any] | None:
    """The plug-in's method, if it has the mark of `for_many`; None: it answers for one client at a time."""
    return method if getattr(method, "for_many", False) else None
