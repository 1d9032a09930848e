"""Flower strategies that can merge, and their options.

A strategy's options are the numbers and words of its signature that affect the merge. Parameters for
sampling clients, naming records and merging metrics have no effect here, and Flower only prints `eta_l`.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import flwr.serverapp.strategy as bundled
from flwr.serverapp.strategy import FedAvg, Strategy
from pydantic import ConfigDict, Field, create_model

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import import_dotted
from distreal_sim.base.values import ConfigModel

NOT_A_MERGE = {
    "FedProx": "on the server it is FedAvg; the clients' part is method.name=fedprox",
    "FedXgbBagging": "it merges trees",
    "FedXgbCyclic": "it merges trees",
}
"""Flower strategies that are left out, with the reason."""

WRAPS = "it wraps another strategy and draws noise from a global generator"

UNUSED = {*inspect.signature(FedAvg).parameters, "eta_l", "train_loss_key"}

PLAIN = {"int": int, "float": float, "bool": bool, "str": str}
"""Types of values that a config can hold."""

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
"""Valid ranges of the options of Flower's own strategies, which check few of them."""


def strategies() -> list[str]:
    """Names of Flower's own strategies that can merge."""
    return sorted(
        name
        for name in bundled.__all__
        if issubclass(getattr(bundled, name), FedAvg) and name not in NOT_A_MERGE
    )


def find(name: str) -> type[FedAvg]:
    """The strategy with this name or dotted path. Raises InputError if it cannot merge."""
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


class _Options(ConfigModel):
    """Options beside `name: flower`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class OwnStrategy(ConfigModel):
    """A user's own strategy, whose options only its code knows."""

    model_config = ConfigDict(extra="allow")

    strategy: str = Field(pattern=r"^\w+(\.\w+)+$", description="dotted path of a strategy of your own")


def options_of(name: str) -> type[ConfigModel]:
    """Config model of a strategy and its options, given beside `name: flower`.

    Raises InputError if the strategy cannot merge.
    """
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
    fields["strategy"] = (str, Field(description="strategy of Flower", **const))
    model: type[ConfigModel] = create_model(cls.__name__, __base__=_Options, **fields)
    return model


class Configured(Protocol):
    """A merge that names a strategy of Flower; its options are in model_extra."""

    @property
    def strategy(self) -> str: ...

    @property
    def model_extra(self) -> dict[str, Any] | None: ...

    @property
    def title(self) -> str: ...


def make(merge: Configured) -> FedAvg:
    """A new strategy without state, which samples no clients."""
    strategy = find(merge.strategy)(**(merge.model_extra or {}))
    strategy.fraction_train = 0.0
    return strategy
