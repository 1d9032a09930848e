"""Which strategies of Flower can merge, and which options they take.

A strategy's options are the numbers and words of its signature that bear on the merge. How Flower would
sample clients, name records and merge metrics has no say here, and `eta_l` is a number that Flower prints.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

import flwr.serverapp.strategy as bundled
from flwr.serverapp.strategy import FedAvg, Strategy
from pydantic import Field, create_model

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import import_dotted
from distreal_sim.client.settings import FlowerMerge, Merge

NOT_A_MERGE = {
    "FedProx": "on the server it is FedAvg; the clients' part is method.name=fedprox",
    "FedXgbBagging": "it merges trees",
    "FedXgbCyclic": "it merges trees",
}
"""Strategies of Flower that are left out, and why."""

WRAPS = "it wraps another strategy and draws noise from a global generator"

UNUSED = {*inspect.signature(FedAvg).parameters, "eta_l", "train_loss_key"}

PLAIN = {"int": int, "float": float, "bool": bool, "str": str}
"""What a config can hold."""

BOUNDS: dict[str, dict[str, Any]] = {
    "eta": {"gt": 0},
    "beta_1": {"ge": 0, "lt": 1},
    "beta_2": {"ge": 0, "lt": 1},
    "tau": {"gt": 0},
    "server_learning_rate": {"gt": 0},
    "server_momentum": {"ge": 0, "lt": 1},
    "beta": {"ge": 0, "lt": 0.5},
    "num_malicious_nodes": {"ge": 0},
    "num_nodes_to_select": {"ge": 1},
    "client_learning_rate": {"gt": 0},
    "q": {"ge": 0},
}
"""What Flower's own strategies can work with; they check little of it themselves."""


def strategies() -> list[str]:
    """Names of Flower's own strategies that can merge."""
    return sorted(
        name
        for name in bundled.__all__
        if issubclass(getattr(bundled, name), FedAvg) and name not in NOT_A_MERGE
    )


def find(name: str) -> type[FedAvg]:
    """The strategy of that name, or of that dotted path. Raises InputError if it cannot merge."""
    if "." in name:
        found = import_dotted(name, "strategy")
        if not (inspect.isclass(found) and issubclass(found, FedAvg)):
            raise InputError(f"strategy '{name}' is not a subclass of flwr.serverapp.strategy.FedAvg")
        return found
    if name in strategies():
        cls: type[FedAvg] = getattr(bundled, name)
        return cls
    is_strategy = name in bundled.__all__ and issubclass(getattr(bundled, name), Strategy)
    if is_strategy and name != "Strategy":
        why = NOT_A_MERGE.get(name, WRAPS)
        raise InputError(f"strategy '{name}' cannot be the server's merge: {why}")
    message = unknown("strategy", name, strategies())
    raise InputError(f"{message}, or the dotted path of a subclass of Flower's FedAvg")


def options_of(name: str) -> type[Merge]:
    """The options of a strategy as a model of its `merge` block. Raises InputError if it cannot merge."""
    cls = find(name)
    fields: dict[str, Any] = {}
    for key, parameter in inspect.signature(cls).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        if key in UNUSED or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        declared = parameter.annotation  # a type, or its name
        kind = PLAIN.get(getattr(declared, "__name__", str(declared)))
        if kind is not None:
            bounds = BOUNDS.get(key, {}) if cls.__module__.startswith("flwr.") else {}
            default: Any = ... if required else parameter.default
            fields[key] = (kind, Field(default, **bounds))
        elif required:
            raise InputError(
                f"strategy '{name}' cannot be made from a config: its parameter {key} has no default and is "
                "not declared as int, float, bool or str"
            )
    const: dict[str, Any] = {"json_schema_extra": {"const": name}}
    fields["flower"] = (str, Field(description="strategy of Flower", **const))
    fields["weight"] = (Literal["examples"] | None, Field(None, description="Flower weights by examples"))
    model: type[Merge] = create_model(cls.__name__, __base__=Merge, **fields)
    return model


def make(merge: Merge) -> FedAvg:
    """A strategy that has seen nothing yet, and that samples nobody."""
    assert merge.flower is not None
    strategy = find(merge.flower)(**(merge.model_extra or {}))
    strategy.fraction_train = 0.0
    return strategy


def resolve(model: type[Merge], values: Mapping[str, Any]) -> FlowerMerge:
    """The `merge` block with the defaults of its strategy, whose options are `model`.

    Raises pydantic's ValidationError for a wrong option and InputError for a strategy that cannot be made.
    """
    merge = FlowerMerge.model_validate(model.model_validate(values).model_dump())
    try:
        make(merge)
    except (TypeError, ValueError) as error:
        raise InputError(f"strategy '{merge.flower}' cannot be made: {error}") from error
    return merge
