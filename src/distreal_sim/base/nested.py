"""Options that hold further plug-ins, such as the parts of a product: `{name: tiers, levels: [0.1, 1.0]}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import Plugin, load, names

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": True,
}
"""JSON schema of such an option's value; the options beside the name are checked when it is read."""

P = TypeVar("P", bound=Plugin)


def read_nested(kind: type[P], value: Any, context: Any = None) -> P:
    """The plug-in of a name, or of a mapping with `name` and options; a plug-in is returned as it is.

    context: that of pydantic, with the folder of relative paths. Raises InputError.
    """
    if isinstance(value, kind):
        return value
    options = {"name": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
        raise InputError(
            f"{value!r} must be the name of a {kind.label}, or keys and values with a `name` (valid: "
            f"{', '.join(names(kind))})"
        )
    cls = load(kind, options["name"])
    own = {key: inner for key, inner in options.items() if key != "name"}
    try:
        return cls.model_validate(own, context=context)
    except ValidationError as error:
        raise InputError(_first(error, cls, f"{kind.label} {options['name']}")) from None


def plain_of(plugin: Plugin) -> dict[str, Any]:
    """The name and the options as plain YAML types."""
    return {"name": plugin.name, **plugin.model_dump(mode="json")}


def code_of(plugin: Plugin) -> tuple[str, ...]:
    """Dotted paths of the user's code in a plug-in and in its options."""
    return (*((plugin.name,) if "." in plugin.name else ()), *plugin.code)


def _first(error: ValidationError, cls: type[Plugin], label: str) -> str:
    """The first mistake in one line."""
    mistake = error.errors()[0]
    key = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "extra_forbidden":
        return str(unknown(f"option of {label}", key, cls.model_fields))
    if mistake["type"] == "missing":
        return f"{label} needs the option '{key}' ({cls.model_fields[key].description})"
    return f"{label}: {f'{key}: ' if key else ''}{mistake['msg'].removeprefix('Value error, ')}"
