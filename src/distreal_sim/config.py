"""One YAML file = one run: loading, overriding, checking and hashing of experiment configs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from distreal_sim.availability import Availability
from distreal_sim.availability.always import Always
from distreal_sim.datasets import Dataset
from distreal_sim.errors import InputError, nearest
from distreal_sim.methods import Method
from distreal_sim.models import Model
from distreal_sim.networks import Network
from distreal_sim.networks.unlimited import Unlimited
from distreal_sim.partitions import Partition
from distreal_sim.plugins import Plugin, load
from distreal_sim.profiles import Profile
from distreal_sim.settings import Evaluation, Local

KINDS: dict[str, type[Plugin]] = {
    "dataset": Dataset,
    "partition": Partition,
    "model": Model,
    "profile": Profile,
    "network": Network,
    "availability": Availability,
    "method": Method,
}
"""The keys that hold a plug-in."""


class Experiment(BaseModel):
    """Everything that determines a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("experiment", description="for people; not part of the config hash")
    seed: int = Field(1, ge=0, description="determines every random draw")
    rounds: int = Field(ge=1, description="number of rounds")
    deadline_s: float = Field(gt=0, allow_inf_nan=False, description="simulated seconds of a round")
    round_end: Literal["fixed", "early"] = Field(
        "fixed", description="a round lasts deadline_s, or ends when every selected client is done"
    )
    n_clients: int | None = Field(None, ge=1, description="size of the fleet; by_writer partitions know it")
    clients_per_round: int = Field(ge=1, description="clients selected for each round")
    dataset: SerializeAsAny[Dataset]
    partition: SerializeAsAny[Partition]
    model: SerializeAsAny[Model]
    local: Local
    profile: SerializeAsAny[Profile]
    network: SerializeAsAny[Network] = Unlimited()
    availability: SerializeAsAny[Availability] = Always()
    method: SerializeAsAny[Method]
    evaluation: Evaluation = Evaluation()  # type: ignore[call-arg]
    checkpoint_every: int = Field(10, ge=1, description="rounds between checkpoints")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where tensors live")

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        if self.n_clients is not None and self.clients_per_round > self.n_clients:
            raise ValueError(
                f"clients_per_round ({self.clients_per_round}) must not exceed n_clients ({self.n_clients})"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, defaults too, as plain YAML types."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        for key in KINDS:
            plain[key] = {"name": getattr(self, key).name, **plain[key]}
        return plain

    def hash(self) -> str:
        """16 hex digits that identify what is computed; `name` and `dataset.data_dir` are left out."""
        plain = self.resolved()
        plain.pop("name")
        plain["dataset"].pop("data_dir", None)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError naming the file and the line."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold keys and values, holds {type(content).__name__}")
    return content


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> tuple[Experiment, list[str]]:
    """The experiment of a config file with KEY=VALUE overrides, and notes on options that were left behind.

    Raises InputError naming the file, the key, the value, what is allowed and the nearest valid name.
    """
    raw = read_yaml(path)
    notes: list[str] = []
    for override in overrides:
        notes += _override(raw, override)
    return parse_experiment(raw, source=str(path), base_dir=path.resolve().parent), notes


def parse_experiment(raw: Mapping[str, Any], *, source: str, base_dir: Path | None = None) -> Experiment:
    """The experiment of a mapping; relative paths resolve against base_dir; source names it in errors."""
    values = dict(raw)
    context = {"base_dir": base_dir}
    try:
        for key, kind in KINDS.items():
            if key in values:
                values[key] = _parse_plugin(kind, values[key], key, source, context)
        return Experiment.model_validate(values, context=context)
    except ValidationError as error:
        raise InputError(_explain(error, source, "", Experiment)) from None


def _parse_plugin(kind: type[Plugin], value: Any, key: str, source: str, context: dict[str, Any]) -> Plugin:
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise InputError(f"{source}: {key} must be a mapping with a `name`, got {value!r}")
    options = {k: v for k, v in value.items() if k != "name"}
    try:
        cls = load(kind, value["name"])
    except InputError as error:
        raise InputError(f"{source}: {key}.name: {error}") from None
    try:
        return cls.model_validate(options, context=context)
    except ValidationError as error:
        raise InputError(_explain(error, source, key, cls)) from None


def _override(raw: dict[str, Any], override: str) -> list[str]:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise InputError(f"override '{override}' must look like KEY=VALUE, for example method.name=fedavg")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"override '{override}': the value is not YAML") from None
    *parents, last = path.split(".")
    target = raw
    for depth, key in enumerate(parents):
        inner = target.setdefault(key, {})
        if isinstance(inner, str) and depth == 0 and key in KINDS:
            inner = target[key] = {"name": inner}
        if not isinstance(inner, dict):
            raise InputError(f"override '{override}': {'.'.join(parents[: depth + 1])} holds {inner!r}, no keys")
        target = inner
    notes = []
    if last == "name" and len(parents) == 1 and parents[0] in KINDS and isinstance(value, str):
        notes = _leave_behind(target, parents[0], value)
    target[last] = value
    return notes


def _leave_behind(options: dict[str, Any], key: str, name: str) -> list[str]:
    """Drops the options that the newly named plug-in does not know."""
    if options.get("name") == name:
        return []
    try:
        known = load(KINDS[key], name).model_fields
    except InputError:
        return []  # the name is reported with its file when the config is parsed
    strange = [k for k in options if k != "name" and k not in known]
    return [f"{key}.{k}={options.pop(k)!r} left behind: {key} {name} has no such option" for k in strange]


def _explain(error: ValidationError, source: str, prefix: str, cls: type[BaseModel]) -> str:
    """The first mistake of a validation, in one line."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"] if not (isinstance(part, str) and "[" in part)]
    key = ".".join([prefix, *location]).strip(".")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    fields = _fields_at(cls, location[:-1])
    if first["type"] == "extra_forbidden":
        hint = nearest(location[-1], fields) + f" (valid: {', '.join(sorted(fields))})" if fields else ""
        return f"{source}: unknown key '{key}' = {first['input']!r}{hint}{more}"
    if first["type"] == "missing":
        return f"{source}: key '{key}' is missing{_about(fields, location)}{more}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], Mapping | BaseModel):
        return f"{source}: {key + ': ' if key else ''}{message}{more}"
    return f"{source}: {key} = {first['input']!r}: {message[:1].lower() + message[1:]}{_about(fields, location)}{more}"


def _fields_at(cls: type[BaseModel], location: Sequence[str]) -> dict[str, Any]:
    for part in location:
        field = cls.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return {}
        if not issubclass(field.annotation, BaseModel):
            return {}
        cls = field.annotation
    return dict(cls.model_fields)


def _about(fields: Mapping[str, Any], location: Sequence[str]) -> str:
    field = fields.get(location[-1]) if location else None
    return f" ({field.description})" if field is not None and field.description else ""


def json_schema() -> dict[str, Any]:
    """A JSON schema of config files for editors, with every bundled plug-in and its options."""
    from distreal_sim.plugins import names

    schema = Experiment.model_json_schema()
    for key, kind in KINDS.items():
        choices: list[dict[str, Any]] = []
        for name in names(kind):
            choice = load(kind, name).model_json_schema(ref_template=f"#/$defs/{key}.{name}.{{model}}")
            for inner, definition in choice.pop("$defs", {}).items():
                schema["$defs"][f"{key}.{name}.{inner}"] = definition
            choice["properties"] = {"name": {"const": name}, **choice.get("properties", {})}
            choice["required"] = ["name", *choice.get("required", [])]
            choices.append(choice)
        outside = {"type": "object", "properties": {"name": {"type": "string", "pattern": r"\."}}, "required": ["name"]}
        schema["properties"][key] = {"anyOf": [*choices, outside]}
    return schema
