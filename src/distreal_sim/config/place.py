"""The default directory of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from distreal_sim.base.errors import InputError
from distreal_sim.config import NO_EFFECT, Experiment

NAMED = {"method.name", "seed", "dataset.data_dir", *NO_EFFECT}
"""Keys that are part of the directory's name anyway, or do not change the results."""

MAX_SUFFIX = 60
"""Longest text of overrides in a directory's name; the config's hash replaces a longer one."""


def default_directory(experiment: Experiment, overrides: Sequence[str], *, resume: bool = False) -> Path:
    """runs/NAME-METHOD-SEED, followed by the other overrides: another learning rate is another run.

    resume: another number of rounds is the same run, if only that one is there. Raises InputError for a name
    that would lead out of runs/.
    """
    path = _directory(experiment, overrides)
    if not resume or path.exists():
        return path
    shorter = _directory(experiment, [text for text in overrides if text.partition("=")[0] != "rounds"])
    return shorter if shorter.exists() else path


def _directory(experiment: Experiment, overrides: Sequence[str]) -> Path:
    if re.search(r"[/\\\0]", experiment.name):
        raise InputError(
            f"name = '{experiment.name}' cannot be part of the run directory runs/NAME-METHOD-SEED; choose a "
            "name without / and \\, or give the directory with --out"
        )
    changes = dict(text.partition("=")[::2] for text in overrides)
    if re.fullmatch(r"[\w.]*", changes.get("method", "")):  # a name without options
        changes.pop("method", None)
    suffix = "-".join(f"{key}={value}" for key, value in sorted(changes.items()) if key not in NAMED)
    if not re.fullmatch(rf"[\w.,=+-]{{0,{MAX_SUFFIX}}}", suffix, re.ASCII):
        suffix = experiment.hash()[:8]
    parts = [experiment.name, experiment.method.name, str(experiment.seed), *([suffix] if suffix else [])]
    return Path("runs") / "-".join(parts)
