"""Reading and writing YAML, with the words and numbers of YAML 1.2 and without duplicate keys.

PyYAML reads YAML 1.1, in which `no` is false, `010` is 8, `1:30` is 90 and `1e-3` is a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError naming the file and the line."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: cannot be read: it is a directory; give a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise InputError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        raise InputError(f"{path}: is empty; it must hold keys and values, like `rounds: 10`")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"only {content!r}"
        raise InputError(f"{path}: must hold keys and values, like `rounds: 10`, but holds {kind}")
    return content


def read_config(config: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str, Path]:
    """(keys and values, their source for messages, the folder against which relative paths resolve).

    config: a YAML file, or a mapping with the same keys, which is copied. Raises InputError.
    """
    if isinstance(config, Mapping):
        return _copied(config), "config", Path.cwd()
    path = Path(config)
    return read_yaml(path), str(path), path.resolve().parent


def _copied(value: Any) -> Any:
    return {key: _copied(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def unfolded(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A copy with `{local: {lr: 0.1}}` for `{local.lr: 0.1}`. Raises InputError where a key is given twice.

    `profile: constant` beside `profile.level: 0.5` is short for `profile.name: constant`.
    """
    plain = {key: value for key, value in values.items() if not isinstance(key, str) or "." not in key}
    for key in (key for key in values if key not in plain):
        inner, (*above, last) = plain, key.split(".")
        for part in above:
            below = inner.get(part)
            below = {"name": below} if isinstance(below, str) else below
            if below is not None and not isinstance(below, Mapping):
                raise InputError(
                    f"{source}: {key} is given beside {part} = {below!r}, which has no keys below it"
                )
            inner[part] = inner = dict(below or {})
        if last in inner:
            raise InputError(f"{source}: key '{key}' is given twice, with dots and nested")
        inner[last] = values[key]
    return plain


def texts_of(changes: Mapping[str, Any], whole: Collection[str] = ()) -> list[str]:
    """KEY=VALUE texts of changes given in Python: `local={"lr": 0.1}` is `local.lr=0.1`.

    A plug-in's name comes before its options. whole: keys whose mappings are not split into dotted keys.
    Raises InputError for a value that no config can hold.
    """
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        keep = key in whole or not isinstance(value, Mapping)
        flat |= {key: value} if keep else flat_keys(value, f"{key}.")
    first = sorted(flat, key=lambda key: not key.endswith(".name"))
    return [f"{key}={_flow(key, flat[key])}" for key in first]


def _flow(key: str, value: Any) -> str:
    try:
        text = dump_yaml(_as_yaml(value), default_flow_style=True, width=1_000_000, allow_unicode=True)
    except yaml.representer.RepresenterError:
        raise InputError(
            f"{key}: a {type(value).__name__} cannot stand in a config; give what its YAML would hold, or a "
            "plug-in"
        ) from None
    return text.removesuffix("...\n").strip()


def _as_yaml(value: Any) -> Any:
    """The value in YAML types: plug-ins, other parts of configs, paths, tuples, numpy numbers converted."""
    if isinstance(value, Plugin):
        return {"name": value.name, **value.model_dump(mode="json")}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _as_yaml(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [_as_yaml(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, also for a key given twice and for 010."""
    return yaml.load(text, Loader=_Loader)


def dump_yaml(value: Any, **options: Any) -> str:
    """A value as YAML that this module and YAML 1.1 readers read alike; options: passed to yaml.dump."""
    return str(yaml.dump(value, Dumper=_Dumper, **options))


AMBIGUOUS = "tag:distreal-sim,2026:ambiguous"

WORDS = {
    "tag:yaml.org,2002:null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    AMBIGUOUS: (r"[-+]?0[0-9_]+", list("-+0")),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    "tag:yaml.org,2002:merge": ("<<", ["<"]),
}
"""Types of words without quotes: the core schema of YAML 1.2, `<<`, and `_` between digits.

The first pattern that matches decides; each has the characters that a match may begin with.
"""


class _Loader(yaml.SafeLoader):
    """SafeLoader with WORDS that refuses duplicate keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (else those of YAML 1.1 are inherited)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    problem = f"key '{key_node.value}' is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def refuse(self, node: yaml.ScalarNode) -> None:
        """Raises an error for a number that YAML 1.1 and YAML 1.2 read differently."""
        problem = (
            f"{node.value}: a number that begins with 0 is octal to some and decimal to others; write "
            f"{int(node.value)} (text stands in quotes)"
        )
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes texts that YAML 1.2 or 1.1 would read as numbers."""


_Loader.add_constructor(AMBIGUOUS, _Loader.refuse)
for tag, (pattern, first) in WORDS.items():
    for reader in (_Loader, _Dumper):
        reader.add_implicit_resolver(tag, re.compile(f"(?:{pattern})$"), first)


COMMANDS = {
    "run": ("an experiment config", "distreal-sim run"),
    "search": ("a search config", "distreal-sim search"),
    "sweep": ("a sweep file", "distreal-sim sweep"),
}
"""Description of each kind of config, and the command that takes it."""

MARKS = {"sweep": {"base"}, "search": {"experiment"}, "run": {"dataset", "model", "method", "profile"}}
"""Keys that only one kind of config has."""


def kind_of(raw: Mapping[str, Any]) -> str | None:
    """The command for a config with these keys: run, search or sweep; None if the keys do not tell."""
    found = [kind for kind, marks in MARKS.items() if marks & raw.keys()]
    return found[0] if len(found) == 1 else None


def refuse_other_kinds(raw: Mapping[str, Any], path: Path | str, command: str) -> None:
    """Raises InputError for a config that belongs to another of COMMANDS than `command`."""
    kind = kind_of(raw)
    if kind not in (None, command):
        what, instead = COMMANDS[str(kind)]
        raise InputError(f"{path}: this is {what}, not {COMMANDS[command][0]}; use `{instead} {path}`")


def flat_keys(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys and values as dotted keys and values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            flat_keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        )
    return flat
