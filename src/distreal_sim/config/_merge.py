"""The `merge` block: our own average, or a strategy of Flower with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.client.settings import Merge
from distreal_sim.config.explain import explain
from distreal_sim.methods import Method


def parse_merge(value: Any, source: str) -> Any:
    """The block of a strategy of Flower, with its defaults; anything else as it is."""
    if not isinstance(value, Mapping) or value.get("flower") is None:
        return value
    from distreal_sim.merging import flower_options as options

    name = value["flower"]
    if not isinstance(name, str):
        raise InputError(
            f"{source}: merge.flower = {name!r} must be the name of a strategy "
            f"({', '.join(options.strategies())})"
        )
    try:
        model = options.options_of(name)
        return options.resolve(model, value)
    except InputError as error:
        raise InputError(f"{source}: merge.flower: {error}") from error
    except ValidationError as error:
        raise InputError(explain(error, source, "merge", model, f"merge.flower {name}")) from None


def check_merge(merge: Merge, method: Method, clients_per_round: int) -> None:
    """Raises ValueError if the method's updates are not what a strategy of Flower can merge, or too few."""
    if merge.flower is None:
        return
    if merge.flower == "Bulyan":
        needed = 4 * getattr(merge, "num_malicious_nodes", 0) + 3
        if clients_per_round < needed:
            raise ValueError(
                f"clients_per_round ({clients_per_round}) must be at least {needed} for merge.flower Bulyan, "
                "which merges no fewer than 4 x num_malicious_nodes + 3 updates"
            )
    if method.trains_parts:
        why = "lets clients train parts of the network"
    elif type(method).merge is not Method.merge:
        why = "has a merge of its own"
    else:
        return
    raise ValueError(
        f"merge.flower {merge.flower} cannot be used with method.name {method.name}, which {why}: Flower's "
        "strategies merge updates of the whole network; use a method like fedavg, or leave merge.flower out"
    )


def merge_schema(plain: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of the block, given that of our own average."""
    from distreal_sim.merging import flower_options as options

    flower = [options.options_of(name).model_json_schema() for name in options.strategies()]
    for choice in flower:
        choice["required"] = sorted({*choice.get("required", []), "flower"})
    return {"description": plain["description"], "anyOf": [{"$ref": "#/$defs/Merge"}, *flower]}
