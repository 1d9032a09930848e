"""Runs with methods, controllers and selections that remember, killed and resumed to the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from toys import toy

from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

from .compare import assert_same_results
from .test_resume import crash, uninterrupted, write_config

SEMI_ASYNC = {"name": "semi_async", "period_s": 4.0}
FEDBUFF = {"name": "fedbuff", "buffer": 3}
EARLY = {"overrun": "wait", "round_end": "early"}
AWAY = {"name": "random", "share": 0.8}
SHANNON = {
    "controller": "allocation",
    "energy": {"name": "cubic", "kappa": 1e-10, "macs_per_cycle": 4.0},
    "link": {
        "name": "shannon",
        "bandwidth_hz": 1e5,
        "gain_per_w": [10.0, 100.0],
        "download_bytes_per_s": 1e6,
    },
}
COMMON: dict[str, Any] = {
    "n_clients": 8,
    "clients_per_round": 4,
    "profile": {"name": "markov", "levels": [0.5, 1.0, 4.0], "changes_per_round": 3},
    "method": {"name": "fedavg"},
    "evaluation": {"every": 3},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "astraea": {"method": {"name": "astraea", "gamma": 2}, "overrun": "wait"},
    "adalearner": {
        "method": {"name": "adalearner"},
        "local": {"steps": 1, "batch_size": 40, "lr": 0.1},
        **EARLY,
    },
    "ts_fl": {"method": {"name": "ts_fl", "max_epochs": 2}, **EARLY},
    "ts_fl asynchronous": {"coordination": {"name": "fedasync"}},
    "folb": {"method": {"name": "folb", "psi": 0.1, "mu": 0.1}},
    "folb of two sets": {"method": {"name": "folb", "sets": 2}, "coordination": FEDBUFF},
    "flexfl": {"method": {"name": "flexfl", "pretraining": 2}},
    "flexfl asynchronous": {"method": {"name": "flexfl", "pretraining": 2}, "coordination": SEMI_ASYNC},
    "fedel": {"method": {"name": "fedel"}},
    "fedel by importance": {"method": {"name": "fedel", "window": "cover", "age": True}},
    "fedel asynchronous": {"method": {"name": "fedel"}, "coordination": FEDBUFF},
    "model_averaging": {
        "method": {"name": "model_averaging", "steps": "deadline", "averaging": "normalised"}
    },
    "allocation": {**SHANNON, **EARLY},
    "oort": {"selection": {"name": "oort", "pacer_rounds": 1}},
    "oort asynchronous": {"selection": {"name": "oort", "pacer_rounds": 1}, "coordination": FEDBUFF},
    "power_of_choice never": {"selection": {"name": "power_of_choice"}, "coordination": FEDBUFF},
    "power_of_choice batch": {"selection": {"name": "power_of_choice", "evaluate": "batch"}},
    "power_of_choice all": {
        "selection": {"name": "power_of_choice", "evaluate": "all", "candidates": 2, "halve_every": 3}
    },
    "refl": {"selection": {"name": "refl", "rest_rounds": 1, "hit_rate": 0.9}, "availability": AWAY},
    "refl asynchronous": {"selection": {"name": "refl", "rest_rounds": 3}, "coordination": SEMI_ASYNC},
    "inner_product": {"selection": {"name": "inner_product"}, "method": {"name": "folb"}},
    "round_robin": {"selection": {"name": "round_robin"}, "availability": AWAY},
}


DEFAULT = ("astraea", "flexfl asynchronous", "refl")
"""A plug-in that remembers in each of the ways there are: merge, arrays of the state, a selection's table."""


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(variant, id=name, marks=[] if name in DEFAULT else [pytest.mark.slow])
        for name, variant in VARIANTS.items()
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(variant: dict[str, Any], tmp_path: Path) -> None:
    """What SIGKILL leaves is the directory as it is at that moment: a copy of it, taken meanwhile.

    After round 5 there is a checkpoint of round 4, and there are rows beyond it: two rounds are played again.
    """
    experiment = toy(**{"rounds": 6, "checkpoint_every": 2, **COMMON, **variant})
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def copy(row: RoundRow) -> None:
        if row.round == 5:
            shutil.copytree(whole, killed)
            assert [path.name for path in (killed / "checkpoint").iterdir()] == ["r000004"]

    run(experiment, whole, grid="serial", callbacks=[copy])
    assert not (killed / "model.safetensors").exists()
    run(experiment, killed, grid="serial", resume=True)
    assert_same_results(killed, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astraea", "fedel by importance", "oort asynchronous"])
def test_random_kills(name: str, tmp_path: Path) -> None:
    """Five lives end by SIGKILL at a random moment, in the middle of rounds and of writes."""
    config = write_config(tmp_path, **{"rounds": 30, "checkpoint_every": 3, **COMMON, **VARIANTS[name]})
    out = tmp_path / "out"
    assert crash(config, out, seed=11, n_kills=5, where="anywhere") == 5
    assert_same_results(out, uninterrupted(config, tmp_path / "whole"))
