"""How plug-ins and series of numbers are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distreal_sim.base.plugins import Plugin

Rows = Iterator[tuple[str, str]]
"""Pairs of label and text."""


def describe(plugin: Plugin) -> str:
    """A plug-in's name and options; outside code is called that."""
    name = plugin.name
    outside = [type(plugin).__module__] if "." in name else []
    outside += [path.rpartition(".")[0] for path in plugin.code]
    if outside:
        name += f" (runs code from {', '.join(outside)})"
    options = ", ".join(_options(plugin.model_dump(mode="json")))
    return f"{name}: {options}" if options else name


def _options(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
            yield from _options({f"{key}.{place}": part for place, part in enumerate(value)}, prefix)
        elif value is not None and value != []:
            yield f"{prefix}{key}={value}".replace("'", "").replace(", ", ",")


def spread(values: Sequence[float] | np.ndarray) -> str:
    """Smallest, median and largest value."""
    low, middle, high = (float(f(values)) for f in (np.min, np.median, np.max))
    form = "{:,.0f}" if high >= 1e4 else "{:,.4g}"
    return ", ".join(
        f"{word} {form.format(x)}" for word, x in (("min", low), ("median", middle), ("max", high))
    )
