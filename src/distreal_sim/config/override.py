"""KEY=VALUE overrides of a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin, load
from distreal_sim.base.values import located
from distreal_sim.config.read import parse_yaml


def override(
    raw: dict[str, Any], text: str, kinds: Mapping[str, type[Plugin]], folder: Path | None = None
) -> list[str]:
    """Sets one KEY=VALUE in `raw`; returns notes on the options that a newly named plug-in does not have.

    KEY is a dotted path and VALUE is YAML. `method=fedavg` means `method.name=fedavg`. folder: the folder
    against which relative paths in VALUE resolve; None: that of the config file. Raises InputError.
    """
    path, separator, value_text = text.partition("=")
    keys = path.split(".")
    if not separator or not all(keys):
        raise InputError(f"override '{text}' must look like KEY=VALUE, for example method.name=fedavg")
    try:
        value = parse_yaml(value_text)
    except yaml.constructor.ConstructorError as error:
        raise InputError(f"override '{text}': {error.problem}") from None
    except yaml.YAMLError:
        raise InputError(f"override '{text}': the value is not YAML (an open quote or bracket?)") from None
    if path in kinds and isinstance(value, str):
        keys.append("name")
    target = raw
    for depth, key in enumerate(keys[:-1]):
        inner = target.get(key)
        if inner is None:
            inner = target[key] = {}
        elif isinstance(inner, str) and ".".join(keys[: depth + 1]) in kinds:
            inner = target[key] = {"name": inner}
        elif not isinstance(inner, dict):
            above = ".".join(keys[: depth + 1])
            raise InputError(f"override '{text}': {above} is {inner!r}, which has no keys below it")
        target = inner
    notes = []
    above, _, last = ".".join(keys).rpartition(".")
    if above in kinds and last == "name" and isinstance(value, str):
        notes = _leave_behind(target, above, kinds[above], value)
    target[keys[-1]] = value if folder is None else located(value, folder)
    return notes


def _leave_behind(options: dict[str, Any], key: str, kind: type[Plugin], name: str) -> list[str]:
    """Drops the options that the newly named plug-in does not know."""
    if options.get("name") == name:
        return []
    try:
        known = load(kind, name).model_fields
    except InputError:
        return []  # the name is reported with its file when the config is parsed
    strange = [k for k in options if k != "name" and k not in known]
    return [f"{key}.{k}={options.pop(k)!r} removed: {key} {name} has no such option" for k in strange]
