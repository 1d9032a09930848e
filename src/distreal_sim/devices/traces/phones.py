"""Speed tables of phones: a speed, or the time of a task, for each model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, nearest
from distreal_sim.devices.traces.files import read_json
from distreal_sim.devices.traces.samples import Names, Samples

DURATION = "Latency"
"""A column of this in its name holds times of a task: speeds are their inverse."""


def read(path: Path, names: Names) -> Samples:
    """The speed of each phone, relative to the median phone; phones without one, or of speed 0, are left out.

    json, as FLASH and FLHetBench have it: {model: speed}, or a list of phones, {column: value} each, of which
    the level's column is AI_Score unless names.level says otherwise. A text counts by its first number.
    """
    value = read_json(path)
    if isinstance(value, dict):
        value = [{"Model": name, "AI_Score": own} for name, own in value.items()]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InputError(f"trace file {path} must be a json file of {{model: speed}}, or a list of phones")
    key = names.level or "AI_Score"
    known = dict.fromkeys(column for row in value for column in row)
    if key not in known:
        raise InputError(
            f"trace file {path} has no column '{key}'{nearest(key, known)} (it has: {', '.join(known)})"
        )
    found = np.array([_number(row.get(key)) for row in value])
    kept = found > 0
    if not kept.any():
        raise InputError(f"trace file {path}: no phone has a {key} above 0")
    speeds = 1 / found[kept] if DURATION in key else found[kept]
    labels = np.array([str(row.get("Model", row.get("Phone Model", ""))) for row in value])[kept]
    numbered = [f"{number} {label}" for number, label in enumerate(labels)]  # models repeat
    return Samples(np.array(numbered), None, speeds / np.median(speeds))


def _number(value: Any) -> float:
    """The first number of a value; NaN where there is none."""
    if isinstance(value, int | float):
        return float(value)
    match = re.search(r"\d+(\.\d+)?", value) if isinstance(value, str) else None
    return float(match.group()) if match else np.nan
