"""JSON schema of config files, for completion and checks in editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from distreal_sim.base.plugins import Plugin, load, names

DOTTED = {"type": "string", "pattern": r"^\w+(\.\w+)+$", "description": "dotted path of a class of your own"}


def schema_of(experiment: type[BaseModel], kinds: Mapping[str, type[Plugin]]) -> dict[str, Any]:
    """The schema of `experiment`; its keys in `kinds` take any bundled plug-in with its options."""
    schema = experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for kind in kinds.values():
        schema["$defs"].pop(kind.__name__, None)
    for key, kind in kinds.items():
        holder, last = _properties(schema, key, schema["$defs"])
        plain = holder[last]
        choices, short = [], []
        for name in names(kind):
            for model in load(kind, name).checkers():
                choice = model.model_json_schema(ref_template=f"#/$defs/{key}.{name}.{{model}}")
                for inner, definition in choice.pop("$defs", {}).items():
                    schema["$defs"][f"{key}.{name}.{inner}"] = definition
                if not choice.get("required"):
                    short.append(name)
                choice["properties"] = {"name": {"const": name}, **choice.get("properties", {})}
                choice["required"] = ["name", *choice.get("required", [])]
                choices.append(choice)
        own = {"type": "object", "properties": {"name": DOTTED}, "required": ["name"]}
        about = {"description": plain["description"]} if "description" in plain else {}
        one = {"anyOf": [*choices, own, {"enum": short}, DOTTED]}
        is_list = plain.get("type") == "array"
        holder[last] = {**about, **({"type": "array", "items": one} if is_list else one)}
    return schema


def _properties(plain: Mapping[str, Any], key: str, definitions: Mapping[str, Any]) -> tuple[Any, str]:
    """The properties that have a dotted key, and the key's last word."""
    properties = plain["properties"]
    first, _, rest = key.partition(".")
    if not rest:
        return properties, first
    return _properties(definitions[properties[first]["$ref"].rpartition("/")[2]], rest, definitions)
