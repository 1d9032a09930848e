"""Short labels that distinguish runs: the method's name, and the config keys in which they differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distreal_sim.results.sweep_table import short_names

NOT_A_DIFFERENCE = ("name", "seed", "dataset.data_dir")
"""Config keys that do not make two runs different experiments: the seed, and keys outside the hash."""


def labels_of(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each config the method's name, then `key=value` for each key in which comparable configs differ.

    A plug-in's option tells configs apart only if they name the same plug-in: `method.front`, which only
    one method has, does not make a label longer.
    """
    flat = [_flat(config) for config in configs]
    values: dict[tuple[str, ...], set[str]] = {}
    for key in {key for config in flat for key in config}.difference(NOT_A_DIFFERENCE, {"method.name"}):
        for config in flat:
            values.setdefault((key, *_plugins(config, key)), set()).add(_text(config.get(key)))
    several = {kind[0] for kind, texts in values.items() if len(texts) > 1}
    differing = sorted(several, key=lambda key: key.removesuffix(".name"))
    short = short_names(differing)
    labels = []
    for config in flat:
        parts = [str(config["method.name"])]
        for key in differing:
            if key in config and len(values[key, *_plugins(config, key)]) > 1:
                parts.append(f"{short[key]}={_text(config[key])}")
        labels.append(", ".join(parts))
    return labels


def natural(label: str) -> list[tuple[int, float, str]]:
    """Sort key under which alpha=2 comes before alpha=10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)
    return [(0, float(part), "") if index % 2 else (1, 0.0, part) for index, part in enumerate(parts)]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        flat |= _flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value}
    return flat


def _plugins(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The plug-ins that `key` is an option of, outermost first: `method.front.size` -> ('distreal', '')."""
    parts = key.split(".")
    named = (".".join([*parts[:depth], "name"]) for depth in range(1, len(parts)))
    return tuple(str(config.get(name, "")) for name in named if name != key)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
