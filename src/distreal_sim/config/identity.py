"""The resolved form of an experiment, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import reduce
from operator import attrgetter, getitem
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distreal_sim.base.plugins import Plugin
from distreal_sim.base.sources import Sources
from distreal_sim.config.kinds import KINDS, by_content, is_list

NO_EFFECT = ("name", "checkpoint_every", "job_timeout_wall_s", "trackers")
"""Keys that do not change the results."""


def values_of(experiment: BaseModel, written: Callable[[Plugin], dict[str, Any]]) -> dict[str, Any]:
    """Every key with its value, defaults included, as plain YAML types, plug-ins as `written` gives them."""
    values: dict[str, Any] = experiment.model_dump(mode="json")
    for key in KINDS:
        *above, last = key.split(".")
        found = attrgetter(key)(experiment)
        reduce(getitem, above, values)[last] = (
            list(map(written, found)) if is_list(type(experiment), key) else written(found)
        )
    return values


def hash_of(experiment: BaseModel, cost: str | Path, sources: Sources) -> str:
    """16 hex digits that identify the computation.

    NO_EFFECT and `dataset.data_dir` are left out; other files, such as a front, enter with their content, and
    so do `cost`, if it is a file, and the user's own source files in `sources`. `cost: measured` enters as
    the word: the measurement of a run is in its cost.json.
    """
    values = {k: value for k, value in values_of(experiment, by_content).items() if k not in NO_EFFECT}
    values["dataset"].pop("data_dir", None)
    if isinstance(cost, Path) and cost.is_file():
        values["cost"] = hashlib.sha256(cost.read_bytes()).hexdigest()
    if sources:
        values["sources"] = dict(sources)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
