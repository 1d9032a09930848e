"""The place of a run in its sweep: read from the two files of the sweep's directory, the parent of the run's.

`sweep.yaml`: the sweep's settings; `sweep.csv`: one row per run, its swept keys between `label` and `seed`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distreal_sim.base.errors import InputError
from distreal_sim.base.plain_yaml import load_yaml

FACTS = (
    "seed", "status", "final_accuracy", "best_accuracy", "full_accuracy", "macs_share", "merged_share",
    "completed_share",
)  # fmt: skip
"""Columns of every sweep.csv after the swept keys (another score has its name there); then come
`sim_s_to_...` and `hash`."""

CLASS = re.compile(r"(?<![\w./])(?:[A-Za-z_]\w*\.)+([A-Z]\w*)(?![\w./])")
"""The dotted path of a class; its name."""

PLUGIN = re.compile(r"^([A-Za-z_][\w.]*) \w+=.*$")
"""A plug-in and its options, as `sweep.cells.text` writes them; its name."""


@dataclass(frozen=True, eq=False)
class Place:
    """variant: the compared part, for example the method's name in the sweep.

    setting: the other swept keys and their values, under which variants are compared; baseline, targets: the
    sweep's own.
    """

    variant: str
    setting: Mapping[str, str]
    baseline: str | None
    targets: tuple[float, ...]

    @property
    def label(self) -> str:
        """Variant and setting in one line."""
        return ", ".join([self.variant, *assignments(self.setting)])


def read_places(directory: Path) -> dict[str, Place] | None:
    """Places by the name of the run's directory; None if `directory` holds no sweep. Raises InputError."""
    table, config = directory / "sweep.csv", directory / "sweep.yaml"
    if not table.exists() or not config.exists():
        return None
    try:
        settings: dict[str, Any] = load_yaml(config.read_text(encoding="utf-8"))
        compare = set(settings["compare"])
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            keys = [key for key in columns[1 : columns.index("seed")] if key not in compare]
            return {
                row["hash"]: Place(
                    row["label"],
                    {key: row[key] for key in keys},
                    settings["baseline"],
                    tuple(settings["targets"]),
                )
                for row in reader
            }
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{directory}: sweep.csv and sweep.yaml are not those of a sweep: {error!r}"
        ) from None


def assignments(values: Mapping[str, str]) -> list[str]:
    """`key=value` for each, the key as short as it can be: `profile.low` is `low` if no other ends so."""
    names = short_names(values)
    return [f"{names[key]}={value}" for key, value in values.items()]


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted key, or the whole key where several end alike."""
    short = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    return {key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()}


def brief(texts: Iterable[str]) -> dict[str, str]:
    """Labels and values as people read them: classes without their packages, where that is clear.

    `my_lab.methods.Mine, low=0.1` is `Mine, low=0.1` unless another text would read the same.
    """
    short = {text: CLASS.sub(r"\1", text) for text in texts}
    return {text: own if list(short.values()).count(own) == 1 else text for text, own in short.items()}


def briefest(values: Iterable[str]) -> dict[str, str]:
    """The same of the values of one swept key: plug-ins by their names alone, where those tell them apart."""
    short = brief(values)
    names = {value: PLUGIN.sub(r"\1", own) for value, own in short.items()}
    return names if len(set(names.values())) == len(names) else short
