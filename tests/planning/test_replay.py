"""A plan has the columns of a trained run in every kind of world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toys import TOY
from variants import by_default

import distreal_sim as ds
from distreal_sim.base.plugins import names
from distreal_sim.server.coordination import Coordination

UNTRAINED = {"train_loss", "test_accuracy", "test_loss", "submodel_accuracy", "submodel_loss"}

SLOW = {"name": "constant", "download_bytes_per_s": 20_000, "upload_bytes_per_s": 4000, "latency_s": 0.05}
"""The toy's 7 kB model takes 0.35 s down and 1.7 s up, of 10."""

COORDINATIONS: dict[str, dict[str, Any]] = {
    "rounds": {},
    "first_k": {"over": 1.4},
    "wait_all": {},
    "fedasync": {},
    "fedbuff": {"buffer": 3},
    "semi_async": {"period_s": 4.0},
}

WORLDS: dict[str, tuple[dict[str, Any], str | None]] = {
    "little memory": (
        {
            "memory": {"name": "tiers", "sizes_bytes": [10_000, 60_000, 1e9]},
            "link": {"name": "lossy", "of": SLOW, "loss": 0.01},
        },
        "out_of_memory",
    ),
    "batteries": (
        {
            "energy": {"name": "per_mac", "joules_per_mac": 1e-6, "idle_w": 0.1, "radio": "lte"},
            "battery": {"name": "idle", "capacity_j": 12.0, "start": [0.3, 0.9], "charge_w": 0.1},
            "link": SLOW,
        },
        "battery",
    ),
    "pauses": ({"availability": {"name": "markov", "there_s": 4.0, "away_s": 2.0, "when": "pause"}}, None),
    "breaks": (
        {
            "availability": {"name": "markov", "there_s": 4.0, "away_s": 2.0, "when": "drop"},
            "link": {
                "name": "lognormal",
                "download_bytes_per_s": 2e4,
                "upload_bytes_per_s": 5e3,
                "sigma": 0.5,
            },
        },
        "dropped",
    ),
    "codecs": (
        {"codec": {"name": "top_k"}, "download_codec": {"name": "int8"}, "link": SLOW, "overrun": "drop"},
        "dropped",
    ),
    **{
        name: ({"coordination": {"name": name, **options}, "codec": {"name": "fp16"}, "link": SLOW}, None)
        for name, options in COORDINATIONS.items()
    },
}
"""Changes of the toy experiment, and a status that some client then has."""


def test_every_coordination_is_here() -> None:
    assert set(COORDINATIONS) == set(names(Coordination))


@pytest.mark.parametrize("world", by_default(WORLDS, ("breaks", "fedbuff")))
def test_the_columns_of_a_trained_run(world: str, tmp_path: Path) -> None:
    """All that do not depend on training, exactly: of rounds and of clients."""
    changes, status = WORLDS[world]
    changes = {"rounds": 3, "evaluation": {"every": 3, "statistics_batches": 1}, **changes}
    trained = ds.run(TOY, tmp_path / "trained", grid="serial", **changes)
    (planned,) = ds.plan(TOY, **changes).runs
    for ours, theirs in ((planned.rounds, trained.rounds), (planned.clients, trained.clients)):
        known = [name for name in theirs.columns if name not in UNTRAINED]
        assert set(ours.columns) >= set(known)
        pd.testing.assert_frame_equal(ours[known], theirs[known], check_exact=True)
    assert status is None or status in set(trained.clients["status"])
