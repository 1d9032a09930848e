"""Error messages for the author of a config file, made from pydantic's validation errors."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from distreal_sim.base.errors import closest, nearest
from distreal_sim.base.plugins import Plugin, names
from distreal_sim.data.datasets import Dataset

Mistake = Mapping[str, Any]

WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text, in quotes",
    "path_type": "a path",
    "tuple_type": "a list, like [1, 2]",
    "list_type": "a list, like [1, 2]",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "greater_than_equal": "at least {ge}",
    "greater_than": "greater than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "a list of at least {min_length}",
    "literal_error": "{expected}",
}
"""Description of the expected value, by pydantic's error type."""


def explain(
    error: ValidationError,
    source: str,
    prefix: str,
    cls: type[BaseModel],
    label: str = "",
    top: type[BaseModel] | None = None,
) -> str:
    """The most telling mistake of a validation of `cls`, in one line.

    prefix: the key that holds `cls`, empty for the top level; label: name of the owner of the keys; top: the
    class that holds `prefix`, one of whose keys may have been meant.
    """
    mistakes = [_Located(m, cls, prefix) for m in error.errors()]
    # Where one branch of a union gives an exact mistake, the type errors of the other branches add nothing.
    mistakes = [m for m in mistakes if not any(o.key.startswith(f"{m.key}.") for o in mistakes)]
    # A misspelt key also makes another key missing, so the misspelt key is the one to report.
    first = next((m for m in mistakes if m.type == "extra_forbidden"), mistakes[0])
    same = [m for m in mistakes if m.key == first.key]
    if first.type == "extra_forbidden":
        text, guess = _unknown(first, cls, prefix, label, top.model_fields if top else ())
        mistakes = [m for m in mistakes if m.type != "missing" or m.key != guess]
    elif first.type == "missing":
        files_from = cls.files_from if issubclass(cls, Dataset) else ""
        advice = f"; get the files from {files_from}" if files_from else ""
        text = f"key '{first.key}' is missing{first.about}{advice}"
    elif first.type == "invalid_key":
        text = f"{first.value!r} is not a key; keys are text"
    elif first.type == "value_error" and isinstance(first.value, Mapping | BaseModel):
        text = f"{first.key + ': ' if first.key else ''}{first.message}"
    else:
        wanted = " or ".join(dict.fromkeys(m.wanted for m in same))
        text = f"{first.key} = {_short(first.value)} must be {wanted}{first.guess}{first.about}"
    n_more = len({m.key for m in mistakes} - {first.key})
    more = f" (and {n_more} more {'mistake' if n_more == 1 else 'mistakes'})" if n_more else ""
    return f"{source}: {text}{more}"


class _Located:
    """A mistake and its key.

    pydantic's location also names the branches of a union between the keys; they are left out.
    """

    def __init__(self, mistake: Mistake, cls: type[BaseModel], prefix: str) -> None:
        self.type = str(mistake["type"])
        self.value = mistake["input"]
        self.message = str(mistake["msg"]).removeprefix("Value error, ")
        self.context: Mapping[str, Any] = mistake.get("ctx", {})
        self.fields: Mapping[str, FieldInfo] = cls.model_fields
        self.field: FieldInfo | None = None
        keys = [prefix] if prefix else []
        models: dict[str, type[BaseModel]] = {}
        for part in mistake["loc"]:
            if part in models:
                self.fields, models = models[part].model_fields, {}
            elif isinstance(part, int):
                keys.append(str(part))
            elif part in self.fields:
                keys.append(part)
                self.field = self.fields[part]
                models = {m.__name__: m for m in _models_in(self.field.annotation)}
                if len(models) == 1 and _is_one(self.field.annotation):
                    self.fields, models = next(iter(models.values())).model_fields, {}
                elif part != mistake["loc"][-1]:
                    self.fields = {}
            elif part == mistake["loc"][-1] and self.type == "extra_forbidden":
                keys.append(part)
        self.key = ".".join(keys)

    @property
    def about(self) -> str:
        """The description of the field, in brackets."""
        if self.field is None or not self.field.description:
            return ""
        kind = self.field.annotation
        if isinstance(kind, type) and issubclass(kind, Plugin):
            return f" ({self.field.description}: {', '.join(names(kind))})"
        return f" ({self.field.description})"

    @property
    def wanted(self) -> str:
        """Description of the expected value."""
        if self.type in WANTED:
            numbers = {k: f"{v:g}" if isinstance(v, float) else v for k, v in self.context.items()}
            return WANTED[self.type].format(**numbers).replace("'", "")
        return self.message.removeprefix("Input should be ")

    @property
    def guess(self) -> str:
        """A hint that names the closest allowed word."""
        words = str(self.context.get("expected", "")).split("'")[1::2]
        return nearest(self.value, words) if isinstance(self.value, str) else ""


def _is_one(annotation: Any) -> bool:
    """Whether it is a model, or one that may be left out: then the location names no branch."""
    parts = [part for part in get_args(annotation) if part is not NoneType] or [annotation]
    return len(parts) == 1 and isinstance(parts[0], type) and issubclass(parts[0], BaseModel)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _unknown(
    mistake: _Located, cls: type[BaseModel], prefix: str, label: str, top: Collection[str]
) -> tuple[str, str]:
    """(message, the key that was probably meant) for an unknown key; top: keys of the top level."""
    parent, _, name = mistake.key.rpartition(".")
    of_plugin = bool(label) and parent == prefix
    near = closest(name, [*mistake.fields, "name"] if of_plugin else mistake.fields)
    guess = f"{parent}.{near}".removeprefix(".") if near else ""
    elsewhere = [
        f"{parent}.{key}.{name}".removeprefix(".")
        for key, field in mistake.fields.items()
        for model in (*_models_in(field.annotation), *_models_in(type(field.default)))
        if name in model.model_fields and not of_plugin
    ]
    if name not in mistake.fields and elsewhere:
        guess = elsewhere[0]
    elif of_plugin and name in top:
        guess = name
    hint = f"; did you mean '{guess}'?" if guess else ""
    owner = label if of_plugin else parent
    if guess and not owner:  # the keys of the top level are many
        return f"unknown key '{mistake.key}' = {_short(mistake.value)}{hint}", guess
    valid = f" ({owner + ' has' if owner else 'valid'}: {', '.join(sorted(mistake.fields)) or 'no options'})"
    return f"unknown key '{mistake.key}' = {_short(mistake.value)}{hint}{valid}", guess


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = 120
    return shortened.repr(value)
