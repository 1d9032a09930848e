"""A sweep of the toy experiment, written as the user's two files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from toys import TOY

COMMAND = [sys.executable, "-c", "from distreal_sim.cli import main; main()", "sweep"]

SWEEP: dict[str, Any] = {
    "base": "toy.yaml",
    "grid": {
        "method": {
            "drop": {"overrun": "drop", "method.name": "fedavg"},
            "thin": {"method.name": "distreal"},
        },
        "profile.changes_per_round": [0, 3],
    },
    "seeds": [7, 8],
    "baseline": "drop",
    "targets": [0.15],
}
"""Two methods x two settings x two seeds; each cell takes less than a second."""


def write_sweep(folder: Path, experiment: dict[str, Any] | None = None, **changes: Any) -> Path:
    """toy.yaml with the keys of `experiment`, and the sweep with those of `changes`; None takes a key out."""
    (folder / "toy.yaml").write_text(yaml.safe_dump({**TOY, **(experiment or {})}))
    content = {key: value for key, value in {**SWEEP, **changes}.items() if value is not None}
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
