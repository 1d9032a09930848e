"""The memory format that `local.memory_format: auto` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distreal_sim.models import Model
from distreal_sim.settings import Local


def settled_format(local: Any, model: Model) -> Any:
    """The value of `local`, checked or not yet, with the format that is faster for the model put in."""
    if isinstance(local, Local) and local.memory_format == "auto":
        return local.model_copy(update={"memory_format": model.memory_format(local.batch_size)})
    if isinstance(local, Mapping) and local.get("memory_format", "auto") == "auto":
        batch_size = local.get("batch_size", Local.model_fields["batch_size"].default)
        if isinstance(batch_size, int):  # anything else is refused in a moment
            return {**local, "memory_format": model.memory_format(batch_size)}
    return local
