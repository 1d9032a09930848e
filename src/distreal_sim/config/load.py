"""Loads an experiment from a YAML file, a mapping or overrides, with one clear error for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distreal_sim.base.errors import InputError, closest
from distreal_sim.base.plugins import Plugin, load, names
from distreal_sim.base.values import ConfigModel, Located
from distreal_sim.config.experiment import Experiment
from distreal_sim.config.explain import explain
from distreal_sim.config.kinds import KINDS, default_at, is_list
from distreal_sim.config.override import override
from distreal_sim.config.read import read_config, refuse_other_kinds, unfolded
from distreal_sim.config.schema import schema_of

Config = str | Path | Mapping[str, Any] | Experiment
"""A YAML file, a mapping with the same keys, or an experiment."""


def load_experiment(config: Config, overrides: Sequence[str] = ()) -> tuple[Experiment, list[str]]:
    """The experiment of a config with KEY=VALUE overrides, and notes on those that a later one removed.

    A relative path resolves against the folder of the file, in an override against the working directory (in
    a `values.Located` override, against its folder). Raises InputError naming the file, the key, the value,
    the allowed values and the closest valid name.
    """
    if isinstance(config, Experiment):
        if not overrides:
            return config, []
        config = config.resolved()
    raw, source, folder = read_config(config)
    raw = unfolded(raw, source)
    refuse_other_kinds(raw, source, "run")
    notes: list[str] = []
    for i, text in enumerate(overrides):
        folder_of_text = text.folder if isinstance(text, Located) else Path.cwd()
        notes += override(raw, text, KINDS, folder_of_text, overrides[:i])
    source = f"{source} with {' '.join(overrides)}" if overrides else source
    return parse_experiment(raw, source=source, base_dir=folder), notes


def parse_experiment(raw: Mapping[str, Any], *, source: str, base_dir: Path | None = None) -> Experiment:
    """The experiment of a mapping; relative paths resolve against base_dir; source names it in errors."""
    values = dict(raw)
    context = {"base_dir": base_dir}
    try:
        for key, kind in KINDS.items():
            *above, last = key.split(".")
            holder: Any = values
            for part in above:
                inner = holder.get(part)
                if not isinstance(inner, Mapping):
                    break
                holder[part] = holder = dict(inner)
            else:
                if last in holder:
                    holder[last] = _parse(kind, holder[last], key, source, context)
        return Experiment.model_validate(values, context=context)
    except ValidationError as error:
        raise InputError(explain(error, source, "", Experiment)) from None


def _parse(kind: type[Plugin], value: Any, key: str, source: str, context: dict[str, Any]) -> Any:
    """The plug-in at a key, or the plug-ins of a list."""
    if not is_list(Experiment, key):
        return _parse_plugin(kind, value, key, source, context)
    if not isinstance(value, list | tuple):
        raise InputError(
            f"{source}: {key} = {value!r} must be a list of names, or of keys and values with a `name`, "
            f"like [{names(kind)[0]}]"
        )
    return tuple(_parse_plugin(kind, part, f"{key}.{i}", source, context) for i, part in enumerate(value))


def _parse_plugin(kind: type[Plugin], value: Any, key: str, source: str, context: dict[str, Any]) -> Plugin:
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{source}: {key} = {value!r} must be a name, or keys and values with a `name`")
    options = {k: v for k, v in (value or {}).items() if k != "name"}
    name = (value or {}).get("name", _default_name(key, options))
    if not isinstance(name, str):
        misspelt = closest("name", map(str, options))
        chosen = next((f"name: {option}" for option in options if option in names(kind)), misspelt)
        got = f", not {name!r}" if name is not None else f"; is '{chosen}' meant?" if chosen else ""
        got = got or _nearly_default(key, options)
        raise InputError(f"{source}: {key} needs a `name`{got} (valid: {', '.join(names(kind))})")
    try:
        cls = load(kind, name)
    except InputError as error:
        raise InputError(f"{source}: {key}.name: {error}") from error
    model: type[ConfigModel] = cls
    try:
        model = cls.checker(options)
        checked = model.model_validate(options, context=context)
        return checked if isinstance(checked, kind) else cls.model_validate(checked.model_dump())
    except InputError as error:
        raise InputError(f"{source}: {key}: {error}") from error
    except ValidationError as error:
        raise InputError(explain(error, source, key, model, f"{kind.label} {name}", Experiment)) from None


def _default_name(key: str, options: Mapping[str, Any]) -> str | None:
    """The name of the key's default plug-in, if it has all the given options."""
    plugin = default_at(Experiment, key) if key in KINDS else None
    if isinstance(plugin, Plugin) and options.keys() <= type(plugin).model_fields.keys():
        return plugin.name
    return None


def _nearly_default(key: str, options: Mapping[str, Any]) -> str:
    """The option of the key's default plug-in that one of the options is probably meant to be."""
    plugin = default_at(Experiment, key) if key in KINDS else None
    if isinstance(plugin, Plugin):
        fields = type(plugin).model_fields
        for option in options:
            if option not in fields and (close := closest(option, fields)):
                return f" with '{option}'; did you mean '{key}.{close}', of {plugin.name}, the default?"
    return ""


def json_schema() -> dict[str, Any]:
    """A JSON schema of config files for editors, with every bundled plug-in and its options."""
    return schema_of(Experiment, KINDS)
