"""Keyed random numbers for one client or many, and the mark of plug-in methods that support many.

Both kinds of generator have `.random()`, so that one body works for both: it returns a number for one client
and an array (n,) for n clients, with the same numbers bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from distreal_sim.base.rng import generator
from distreal_sim.base.rng_many import streams

OneOrMany = Any
"""A number for one client; for n clients an array (n,), or a number that they share."""

Keyed = Callable[..., np.random.Generator]
"""rng(purpose, *key): the client's generator of this key, the same whenever it is asked for."""


class Uniform(Protocol):
    """The common interface of the generators of one client and of many."""

    def random(self) -> OneOrMany:
        """The next number in [0, 1) of each client."""
        ...


Source = Callable[..., Uniform]
"""rng(purpose, *key) of one client or of many."""


@dataclass(frozen=True, eq=False)
class ClientRngs:
    """The generators of one client, or of each of many clients, for one kind of plug-in.

    client_id: an int, or (n,) ints, repeats allowed. The key of a call: integers, or (n,) arrays of them.
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
        """The generators of the clients in `rows`."""
        assert isinstance(self.client_id, np.ndarray)
        return ClientRngs(self.seed, self.kind, self.client_id[rows])

    def one(self, row: int) -> ClientRngs:
        """The generators of the one client in a row."""
        assert isinstance(self.client_id, np.ndarray)
        return ClientRngs(self.seed, self.kind, int(self.client_id[row]))


@dataclass(frozen=True, eq=False)
class Within:
    """The generators of a part of a plug-in: those of `source`, with the part's name before each purpose."""

    source: Any
    part: str

    def __call__(self, purpose: str, *key: Any) -> Any:
        return self.source(f"{self.part} {purpose}", *key)

    @property
    def client_id(self) -> Any:
        """See `ClientRngs`."""
        return self.source.client_id

    def pick(self, rows: np.ndarray) -> Within:
        """See `ClientRngs.pick`."""
        return Within(self.source.pick(rows), self.part)

    def one(self, row: int) -> Within:
        """See `ClientRngs.one`."""
        return Within(self.source.one(row), self.part)


F = TypeVar("F", bound=Callable[..., Any])


def for_many(method: F) -> F:
    """Marks a method of a device plug-in whose body also works for many clients at once.

    Its client_id may be an array (n,), and its rng then returns `rng_many.Streams`, which only have
    `random()`. The result for each client must equal that for the client alone to the last bit. A method
    without the mark is called client by client, also where it overrides a marked method.
    """
    method.for_many = True  # type: ignore[attr-defined]
    return method


def bulk(method: Callable[..., Any]) -> Callable[..., Any] | None:
    """The plug-in's method if it is marked `for_many`; None if it must be called client by client."""
    return method if getattr(method, "for_many", False) else None
