"""KEY=VALUE overrides of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin, load
from distreal_sim.base.values import located
from distreal_sim.config.read import parse_yaml


def override(
    raw: dict[str, Any],
    text: str,
    kinds: Mapping[str, type[Plugin]],
    folder: Path | None = None,
    before: Sequence[str] = (),
) -> list[str]:
    """Sets one KEY=VALUE in `raw`, without the options that a newly named plug-in does not have.

    KEY is a dotted path and VALUE is YAML. `method=fedavg` means `method.name=fedavg`. folder: the folder
    against which relative paths in VALUE resolve; None: that of the config file. before: the overrides that
    were set already. Returns a note on each removed option that one of them has set; those of the config
    belong to the plug-in that is replaced, and go with it. Raises InputError.
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
        removed = _leave_behind(target, kinds[above], value)
        notes = [
            f"{above}.{option}={was!r} removed: {above} {value} has no such option"
            for option, was in removed.items()
            if any(_sets(earlier, f"{above}.{option}") for earlier in before)
        ]
    target[keys[-1]] = value if folder is None else located(value, folder)
    return notes


def _sets(text: str, key: str) -> bool:
    """Whether an override has set the key, a part of it, or a mapping around it."""
    path, _, value_text = text.partition("=")
    if key.startswith(f"{path}."):
        return isinstance(parse_yaml(value_text), Mapping)
    return f"{path}.".startswith(f"{key}.")


def _leave_behind(options: dict[str, Any], kind: type[Plugin], name: str) -> dict[str, Any]:
    """Removes and returns the options that the newly named plug-in does not know."""
    if options.get("name") == name:
        return {}
    try:
        known = load(kind, name).model_fields
    except InputError:
        return {}  # the name is reported with its file when the config is parsed
    return {k: options.pop(k) for k in [*options] if k != "name" and k not in known}
