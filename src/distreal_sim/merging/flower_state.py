"""Memory of a Flower strategy between rounds, as arrays of a checkpoint.

Strategies keep their memory in attributes: numbers, arrays, lists and dicts of arrays, records. An attribute
is stored as `merge/ATTRIBUTE/KIND/INDEX/KEY`, an empty one as `merge/ATTRIBUTE/KIND`. The arrays that the
clients got (`current_arrays`) belong to the state itself.
"""

from __future__ import annotations

import numbers
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp.strategy import FedAvg

from distreal_sim.base.errors import InputError
from distreal_sim.client.messages import Arrays
from distreal_sim.merging.flower_options import Configured, make

PREFIX = "merge/"

GIVEN = "current_arrays"
"""Set from the state in every round."""

Items = list[tuple[str, np.ndarray]]
"""(key, array), in order."""


def remember(merge: Configured, strategy: FedAvg) -> dict[str, np.ndarray]:
    """The attributes in which the strategy differs from a new one, as arrays.

    Raises InputError for an attribute that a checkpoint cannot hold.
    """
    fresh = vars(make(merge))
    kept: dict[str, np.ndarray] = {}
    for name, value in vars(strategy).items():
        if name == GIVEN or callable(value) or _same(value, fresh.get(name)):
            continue
        try:
            kind, items = _taken_apart(value)
        except TypeError:
            raise InputError(
                f"{merge.title} keeps `{name}`, a {type(value).__name__}, from round to round; "
                "a checkpoint can hold numbers, arrays, lists and dicts of arrays, and ArrayRecords"
            ) from None
        if not items:
            kept[f"{PREFIX}{name}/{kind}"] = np.zeros(0)
        for index, (key, array) in enumerate(items):
            kept[f"{PREFIX}{name}/{kind}/{index}/{key}"] = array
    return kept


def recall(strategy: FedAvg, extras: Arrays) -> None:
    """Restores the memory of a new strategy, in copies that it may change in place."""
    found: dict[tuple[str, str], dict[int, tuple[str, np.ndarray]]] = defaultdict(dict)
    for path, array in extras.items():
        name, *rest = path.removeprefix(PREFIX).split("/", 3)
        if not path.startswith(PREFIX) or not rest:
            continue
        items = found[name, rest[0]]
        if rest[1:]:
            items[int(rest[1])] = rest[2], np.array(array)
    for (name, kind), items in found.items():
        setattr(strategy, name, PUT_TOGETHER[kind]([items[index] for index in sorted(items)]))


def _same(value: Any, fresh: Any) -> bool:
    try:
        return value is fresh or (type(value) is type(fresh) and bool(value == fresh))
    except (TypeError, ValueError, RuntimeError):  # arrays have no single truth value
        return False


def _taken_apart(value: Any) -> tuple[str, Items]:
    if isinstance(value, np.ndarray | np.generic):
        return "array", [("", np.array(value))]
    if isinstance(value, numbers.Real):
        return "number", [("", np.array(value))]
    if isinstance(value, ArrayRecord):
        return "record", [(key, array.numpy()) for key, array in value.items()]
    if isinstance(value, dict):
        return "dict", list(_checked(value.items()))
    if isinstance(value, list):
        return "list", list(_checked(("", item) for item in value))
    raise TypeError


def _checked(items: Any) -> Iterator[tuple[str, np.ndarray]]:
    for key, array in items:
        if not isinstance(key, str) or not isinstance(array, np.ndarray | np.generic):
            raise TypeError
        yield key, np.asarray(array)


PUT_TOGETHER: dict[str, Callable[[Items], Any]] = {
    "array": lambda items: items[0][1],
    "number": lambda items: items[0][1].item(),
    "record": lambda items: ArrayRecord({key: Array(array) for key, array in items}),
    "dict": dict,
    "list": lambda items: [array for _, array in items],
}
