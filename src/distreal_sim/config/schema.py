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
        plain = schema["properties"][key]
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
        schema["properties"][key] = {**about, "anyOf": [*choices, own, {"enum": short}, DOTTED]}
    return schema
