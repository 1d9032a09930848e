"""The keys of an experiment that hold plug-ins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from distreal_sim.base.plugins import Plugin
from distreal_sim.codecs import Codec
from distreal_sim.data.datasets import Dataset
from distreal_sim.data.partitions import Partition
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.batteries import Battery
from distreal_sim.devices.controllers import Controller
from distreal_sim.devices.energy import Energy
from distreal_sim.devices.links import Links
from distreal_sim.devices.memory import Memory
from distreal_sim.devices.profiles import Profile
from distreal_sim.merging.merges import Merge
from distreal_sim.methods import Method
from distreal_sim.models import Model
from distreal_sim.recipe.augmentations import Augmentation
from distreal_sim.recipe.metrics import Metric
from distreal_sim.recipe.optimizers import Optimizer
from distreal_sim.recipe.schedules import Schedule
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.results.trackers import Tracker
from distreal_sim.server.coordination import Coordination
from distreal_sim.server.selection import Selection

KINDS: dict[str, type[Plugin]] = {
    "dataset": Dataset,
    "partition": Partition,
    "model": Model,
    "task": LearningTask,
    "local.optimizer": Optimizer,
    "local.augment": Augmentation,
    "local.lr_schedule": Schedule,
    "profile": Profile,
    "link": Links,
    "availability": Availability,
    "energy": Energy,
    "battery": Battery,
    "controller": Controller,
    "memory": Memory,
    "method": Method,
    "merge": Merge,
    "codec": Codec,
    "evaluation.metrics": Metric,
    "download_codec": Codec,
    "trackers": Tracker,
    "coordination": Coordination,
    "selection": Selection,
}
"""The keys that hold a plug-in, or a list of them, each with the kind."""


def plugins_in(experiment: BaseModel) -> Iterator[tuple[str, Plugin]]:
    """Every plug-in of an experiment, with its key."""
    for key in KINDS:
        value = attrgetter(key)(experiment)
        yield from ((key, plugin) for plugin in (value if isinstance(value, tuple) else (value,)))


def plain(plugin: Plugin) -> dict[str, Any]:
    """A plug-in as plain YAML types."""
    return {"name": plugin.name, **plugin.model_dump(mode="json")}


def by_content(plugin: Plugin) -> dict[str, Any]:
    """The same with the SHA-256 of a file's content in place of its path, in plug-ins within it, too."""
    written = plain(plugin)
    return {**written, **{key: _by_content(value, written[key]) for key, value in plugin if key in written}}


def _by_content(value: Any, written: Any) -> Any:
    """written: the value as plain YAML types."""
    if isinstance(value, Path) and value.is_file() and written is not None:
        return hashlib.sha256(value.read_bytes()).hexdigest()
    if isinstance(value, Plugin):
        inner = {key: _by_content(own, written[key]) for key, own in value if key in written}
        return {**written, **inner}
    if isinstance(value, tuple) and isinstance(written, list):
        return [_by_content(own, inner) for own, inner in zip(value, written, strict=True)]
    return written


def default_at(model: type[BaseModel], key: str) -> Any:
    """The default of a dotted key; None where it or a key above it has none."""
    first, _, rest = key.partition(".")
    field = model.model_fields[first]
    inner = field.annotation
    if rest and isinstance(inner, type) and issubclass(inner, BaseModel):
        return default_at(inner, rest)
    return None if rest else field.default


def is_list(model: type[BaseModel], key: str) -> bool:
    """Whether a dotted key holds a list."""
    first, _, rest = key.partition(".")
    inner = model.model_fields[first].annotation
    if rest and isinstance(inner, type) and issubclass(inner, BaseModel):
        return is_list(inner, rest)
    return get_origin(inner) is tuple
