"""Writes docs/reference/config.md, the page on config keys, from the schemas of the three kinds of files.

python docs/tools/config_keys.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from distreal_sim.config import json_schema
from distreal_sim.search.settings import Search
from distreal_sim.sweep.settings import Sweep

PAGE = Path(__file__).parents[1] / "reference" / "config.md"

HEAD = """# Config keys

Every key of an experiment's YAML file, and at the end those of [a search's](#keys-of-a-search) and
[a sweep's](#keys-of-a-sweep). Generated from the schemas by `python docs/tools/config_keys.py`; a test fails
when this page is out of date. `distreal-sim schema` prints the schema of experiments itself, for editors.

- A key that holds a **plug-in** (`dataset`, `model`, `profile`, `method` and others, each with a chapter
  below) takes a `name` and the options of that name: `{name: dirichlet, alpha: 0.5}`. The name alone will do
  for a plug-in without required options. A class of your own is named by its dotted path:
  `my_package.MyProfile`.
- The column *example* is the form on the command line: `distreal-sim run CONFIG.yaml local.lr=0.1`. Quote
  lists and blocks for the shell: `'profile.levels=[0.1,1.0]'`.
- A key that holds a list of plug-ins (`local.augment`, `evaluation.metrics`, `trackers`) is given as a whole:
  `'local.augment=[{name: crop, padding: 4}, flip]'`. Its examples show the option only.
- *Unit* is empty for plain numbers, shares and words. "s" means simulated seconds, "real s" wall-clock
  seconds.
"""

TABLE = """| key | unit | values | default | example | meaning |
| --- | --- | --- | --- | --- | --- |
"""

FILES: dict[str, tuple[type[BaseModel], str]] = {
    "search": (Search, "[search for a front](../how-to/search.md#the-config)"),
    "sweep": (Sweep, "[sweeps](../how-to/sweep.md#the-file)"),
}
"""The other kinds of files, with the pages that explain them."""

FILE_TABLE = """| key | values | default | meaning |
| --- | --- | --- | --- |
"""

UNITS = {
    "rounds": "rounds",
    "clients_per_round": "clients",
    "n_clients": "clients",
    "checkpoint_every": "rounds",
    "every": "rounds",
    "milestones": "rounds",
    "warmup_rounds": "rounds",
    "after": "rounds",
    "patience": "tests",
    "max_staleness": "steps",
    "pacer_rounds": "rounds",
    "rest_rounds": "rounds",
    "b": "steps",
    "buffer": "updates",
    "period_s": "s",
    "ramp_rounds": "rounds",
    "epochs": "epochs",
    "steps": "mini-batches",
    "statistics_batches": "mini-batches",
    "batch_size": "examples",
    "min_examples": "examples",
    "examples": "examples",
    "limit": "examples",
    "size": "pixels",
    "patch": "pixels",
    "width": "channels",
    "growth": "channels",
    "hidden": "channels",
    "changes_per_round": "1 / round",
    "level": "level 1",
    "levels": "level 1",
    "low": "level 1",
    "high": "level 1",
    "level_1_macs_per_s": "MAC / s",
    "classes_per_client": "classes",
    "deadline_s": "s",
    "job_timeout_wall_s": "real s",
    "download_bytes_per_s": "bytes / s",
    "upload_bytes_per_s": "bytes / s",
    "latency_s": "s",
    "joules_per_mac": "J / MAC",
    "idle_w": "W",
    "static_w": "W",
    "capacity_j": "J",
    "charge_w": "W",
    "sim_s": "s",
    "macs": "MACs",
    "energy_j": "J",
    "download_bytes": "bytes",
    "upload_bytes": "bytes",
    "day_s": "s",
    "from_h": "hours",
    "to_h": "hours",
    "spread_h": "hours",
    "capacitance_f": "F",
    "kappa": "W / Hz^3",
    "macs_per_cycle": "MACs / cycle",
    "points": "[Hz, V]",
    "rtt_s": "s",
    "mss_bytes": "bytes",
    "most_clients": "clients",
    "largest_gap_s": "s",
    "step_s": "s",
    "there_s": "s",
    "away_s": "s",
    "availability.low": "",
    "availability.high": "",
    "availability.steps": "",
    "profile.steps": "",
    "method.steps": "",
    "method.width": "",
}
"""Units of the keys that have one, whichever block they stand in, or in one block."""

EXAMPLES: dict[str, Any] = {
    "trackers.folder": "runs/events",
    "rounds": 60,
    "stop.budget.sim_s": 36000,
    "stop.budget.macs": 1e12,
    "stop.budget.download_bytes": 1e9,
    "stop.budget.upload_bytes": 1e9,
    "stop.budget.energy_j": 5000,
    "deadline_s": 10,
    "n_clients": 40,
    "clients_per_round": 10,
    "job_timeout_wall_s": 600,
    "epochs": 2,
    "steps": 10,
    "milestones": [30, 45],
    "examples": 1000,
    "data_dir": "data",
    "strategy": "FedAdam",
    "folder": "FashionMNIST",
    "prefix": "emnist-letters",
    "hub": "uoft-cs/cifar10",
    "subset": "default",
    "image_column": "img",
    "label_column": "label",
    "writer_column": "writer_id",
    "size": 32,
    "limit": 5000,
    "level": 0.5,
    "level_1_macs_per_s": 3e6,
    "levels": [0.1, 1.0],
    "shares": [0.7, 0.3],
    "download_bytes_per_s": 1e6,
    "upload_bytes_per_s": 2.5e5,
    "share": 0.8,
    "options": {"num_classes_per_partition": 2},
    "client_column": "phone",
    "weights": [1, 3, 1],
    "files": ["my_phone.yaml"],
    "file": "speeds.csv",
    "time_column": "time_s",
    "level_column": "level",
    "largest_gap_s": 600,
    "step_s": 60,
    "period_s": 86_400,
    "depths": 3,
    "proportions": [1, 1, 2, 2, 4],
    "clip_norm": 1.0,
    "keep": 0.75,
    "width": 0.25,
    "max_staleness": 20,
    "client_learning_rate": 0.1,
    "goal": "max",
    "patience": 10,
    "target": 0.9,
}
"""Examples for keys whose schema has neither an example nor a default that is not empty."""


class Key(NamedTuple):
    """One row of a table."""

    path: str
    values: str
    default: str
    example: Any
    meaning: str

    def row(self) -> str:
        name = self.path.rpartition(".")[2]
        unit = UNITS.get(self.path, UNITS.get(name, ""))
        example = f"`{self.path}={_plain(self.example)}`"
        cells = (f"`{name}`", unit, self.values, self.default, example, self.meaning)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Block(NamedTuple):
    """A table of keys.

    key: holds the block; name: of the plug-in or strategy, None for the others; about: first paragraph of its
    docstring.
    """

    key: str
    name: str | None
    about: str
    keys: tuple[Key, ...]


def blocks() -> Iterator[Block]:
    """Every block of the schema; that of the top level first, under the key ''."""
    schema = json_schema()
    definitions = schema["$defs"]
    yield from _blocks("", None, schema, definitions)


def _blocks(
    key: str, name: str | None, plain: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[Block]:
    """A block, followed by those of its keys that hold blocks."""
    rows, inner = [], []
    for word, own in plain["properties"].items():
        path = f"{key}.{word}".removeprefix(".")
        found = [] if "const" in own else list(_choices(own, definitions))
        if not found and "const" not in own:
            rows.append(_key(path, own, word in plain.get("required", ()), definitions))
        for choice in found:
            constants = [of["const"] for of in choice["properties"].values() if "const" in of]
            one = " ".join(map(str, constants)) or None
            inner += _blocks(path, one, choice, definitions)
    about = _first_paragraph(plain) if key else ""
    yield Block(key, name, about, tuple(rows))
    yield from inner


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    abouts = _abouts(json_schema())
    last = None
    for block in blocks():
        if block.key != last:
            title = f"`{block.key}`: {abouts[block.key]}" if block.key else "Top level"
            anchor = f'<a id="{block.key}"></a>\n\n' if block.key else ""
            parts.append(f"{anchor}## {title}\n")
        last = block.key
        if block.name is not None:
            parts.append(f"### `{block.key}: {block.name}`\n")
        if block.about and block.name is not None:
            parts.append(f"{block.about}\n")
        if block.keys:
            parts.append(TABLE + "\n".join(key.row() for key in block.keys) + "\n")
        else:
            parts.append("No options.\n")
    return "\n".join([*parts, *map(file_chapter, FILES)])


def file_chapter(kind: str) -> str:
    """The keys of another kind of file."""
    model, where = FILES[kind]
    plain = model.model_json_schema()
    lines = [
        f"| `{key}` | {_values(own, plain.get('$defs', {}))} | {_default(own, key in plain['required'])} "
        f"| {own.get('description', '')} |"
        for key, own in plain["properties"].items()
    ]
    return (
        f"## Keys of a {kind}\n\nHow they work together: {where}.\n\n{FILE_TABLE}" + "\n".join(lines) + "\n"
    )


def _abouts(schema: Mapping[str, Any]) -> dict[str, str]:
    """Descriptions of all keys, of those in `local` and the like too."""
    found = {}
    for key, plain in schema["properties"].items():
        found[key] = plain.get("description", "")
        (named, *_) = [choice for choice in plain.get("anyOf", []) if "$ref" in choice] or [plain]
        inner = schema["$defs"].get(named.get("$ref", "").rpartition("/")[2], {})
        found |= {
            f"{key}.{word}": own.get("description", "") for word, own in inner.get("properties", {}).items()
        }
    return found


def _choices(plain: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The blocks that a key can hold; none for a key that holds a value."""
    options = (
        plain.get("items", {}).get("anyOf", ()) if plain.get("type") == "array" else plain.get("anyOf", ())
    )
    for choice in (plain, *options):
        if "$ref" in choice:
            choice = definitions[choice["$ref"].rpartition("/")[2]]
        properties = choice.get("properties", {})
        if properties and (len(properties) > 1 or "const" in next(iter(properties.values()))):
            yield choice


def _first_paragraph(plain: Mapping[str, Any]) -> str:
    return " ".join(plain.get("description", "").partition("\n\n")[0].split())


def _key(path: str, plain: Mapping[str, Any], required: bool, definitions: Mapping[str, Any]) -> Key:
    default, shown = plain.get("default"), _default(plain, required)
    if plain.get("examples"):
        example = plain["examples"][0]
    elif isinstance(default, bool):
        example = not default
    elif others := [value for value in plain.get("enum", ()) if value != default]:
        example = others[0]
    elif default not in (None, "", [], {}):
        example = default
    else:
        example = EXAMPLES[path if path in EXAMPLES else path.rpartition(".")[2]]
    return Key(path, _values(plain, definitions), shown, example, plain.get("description", ""))


def _default(plain: Mapping[str, Any], required: bool) -> str:
    default = plain.get("default")
    return "**required**" if required else "left out" if default in (None, [], {}) else f"`{_plain(default)}`"


def _values(plain: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a key may hold, in words."""
    if "$ref" in plain:
        own = definitions[plain["$ref"].removeprefix("#/$defs/")]
        return "{" + ", ".join(own["properties"]) + "}"
    if options := plain.get("anyOf") or plain.get("oneOf"):
        return " or ".join(_values(option, definitions) for option in options if option.get("type") != "null")
    if "const" in plain:
        return f"`{_plain(plain['const'])}`"
    if "enum" in plain:
        return ", ".join(f"`{_plain(value)}`" for value in plain["enum"])
    kind = plain.get("type")
    if kind in ("integer", "number"):
        return ("whole number" if kind == "integer" else "number") + _range(plain)
    if kind == "array":
        items = plain.get("items") or (plain.get("prefixItems") or [{}])[0]
        return f"list of: {_values(items, definitions)}"
    words = {"boolean": "`true`, `false`", "object": "keys and values"}
    return words.get(str(kind), "path" if plain.get("format") == "path" else "text")


def _range(plain: Mapping[str, Any]) -> str:
    """Bounds as ' ≥ 0, < 1'."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {plain[key]:g}" for key, sign in signs.items() if key in plain]
    return " " + ", ".join(bounds) if bounds else ""


def _plain(value: Any) -> str:
    """A value as it is written in YAML."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return ".inf" if math.isinf(value) else f"{value:.0f}" if value.is_integer() else repr(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_plain, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(own)}" for key, own in value.items()) + "}"
    return str(value) or '""'


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
