"""Fronts over vectors and shares for the toy experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toys import toy

from distreal_sim.config.build import build
from distreal_sim.fronts.front import fingerprint, make_front

VECTORS = {0.75: (0.5, 1.0), 0.5: (0.5, 1.0), 0.0: (0.125, 0.25, 0.5, 0.75, 1.0)}
"""Shares of the planned examples by drop rate, the same rate in all layers."""


def front_of_shares(path: Path, vectors: dict[float, tuple[float, ...]] = VECTORS) -> Path:
    """Writes a front of all these pairs, whose scores are their costs; gives the path."""
    task = build(toy(method={"name": "distreal", "front": {"uniform": 1}}))
    groups = task.structure.thinnable("auto")
    pairs = [(rate, share) for rate, shares in vectors.items() for share in shares]
    rates = np.repeat([[rate] for rate, _ in pairs], len(groups), axis=1)
    shares = [share for _, share in pairs]
    model = fingerprint(task.module)
    made = {"how": "by hand"}
    front = make_front(task.structure, groups, rates, None, shares=shares, model=model, made=made)
    assert len(front.entries) == len(pairs)
    front.save(path)
    return path
