"""The same config and seed give the same bytes, whoever computes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toys import RECIPE, TEXT_RECIPE, TOY, toy

from distreal_sim.base.plugins import names
from distreal_sim.config import Experiment
from distreal_sim.grids.ray.shared_memory import Arena, Packed, Slot
from distreal_sim.methods import Method
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

from .compare import assert_same_results


def experiment(method: str, seed: int = 7, local: dict[str, Any] = TOY["local"]) -> Experiment:
    """Clients come and go, each has a unit of capacity of its own, and not every round is evaluated."""
    return toy(
        seed=seed,
        local=local,
        method={"name": method},
        profile={**TOY["profile"], "unit": "relative_own"},
        availability={"name": "random", "share": 0.7},
        evaluation={"every": 3},
    )


@pytest.mark.parametrize(
    ("method", "n_workers", "local"),
    [
        ("distreal", 2, RECIPE),
        *(
            pytest.param(m, n, TOY["local"], marks=pytest.mark.slow)
            for m in ("distreal", "fedavg", "small")
            for n in (1, 4)
        ),
        *(pytest.param(m, 2, TOY["local"], marks=pytest.mark.slow) for m in names(Method)),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_ray_gives_what_serial_gives(
    method: str, n_workers: int, local: dict[str, Any], tmp_path: Path
) -> None:
    own = experiment(method, local=local)
    run(own, tmp_path / "serial", grid="serial")
    run(own, tmp_path / "ray", grid="ray", n_workers=n_workers)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_ray_gives_what_serial_gives_of_texts(tmp_path: Path) -> None:
    own = toy(**TEXT_RECIPE)
    run(own, tmp_path / "serial", grid="serial")
    run(own, tmp_path / "ray", grid="ray", n_workers=2)
    assert (tmp_path / "serial" / "client_scores.csv").exists()
    assert_same_results(tmp_path / "serial", tmp_path / "ray")


@pytest.mark.parametrize(
    "own", [experiment("distreal", local=RECIPE), toy(**TEXT_RECIPE)], ids=["images", "texts"]
)
def test_a_resumed_run_with_a_whole_recipe_gives_the_same(own: Experiment, tmp_path: Path) -> None:
    """Stopped in round 3, after the checkpoint of round 2: optimizer, clipping, smoothing, augmentations; of
    texts the scores of the clients, too.
    """

    def stop(row: RoundRow) -> None:
        if row.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(own, tmp_path / "cut", grid="serial", callbacks=[stop])
    run(own, tmp_path / "cut", grid="serial", resume=True)
    run(own, tmp_path / "whole", grid="serial")
    assert_same_results(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_bfloat16_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """Like any other arithmetic, and others than float32's."""
    exact, rounded = (toy(local={**TOY["local"], "precision": p}) for p in ("float32", "bfloat16"))
    run(exact, tmp_path / "exact", grid="serial")
    run(rounded, tmp_path / "serial", grid="serial")
    run(rounded, tmp_path / "ray", grid="ray", n_workers=2)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("exact", "serial")]
    assert models[0] != models[1]


def test_a_run_can_be_repeated_and_the_seed_matters(tmp_path: Path) -> None:
    run(experiment("distreal"), tmp_path / "first", grid="serial")
    run(experiment("distreal"), tmp_path / "again", grid="serial")
    run(experiment("distreal", seed=8), tmp_path / "other", grid="serial")
    assert_same_results(tmp_path / "first", tmp_path / "again")
    first, other = ((tmp_path / name / "rounds.csv").read_text().splitlines() for name in ("first", "other"))
    assert first[0] == other[0]
    assert not set(first[1:]) & set(other[1:])


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_the_choice_of_a_grid_changes_nothing(tmp_path: Path) -> None:
    """`auto` stays in this process for four small rounds, and goes to Ray where a job may have to be killed.

    run.json says so; the hash and the results are the same.
    """
    changed = toy(method={"name": "distreal"}, job_timeout_wall_s=600.0)
    run(toy(method={"name": "distreal"}), tmp_path / "stays", n_workers=2)
    run(changed, tmp_path / "goes", n_workers=2)
    infos = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("stays", "goes")]
    assert infos[0]["config_hash"] == infos[1]["config_hash"]
    assert infos[0]["grid"]["grid"] == "serial"
    assert infos[1]["grid"]["grid"] == ("ray" if len(os.sched_getaffinity(0)) > 1 else "serial")
    for name in ("rounds.csv", "model.safetensors"):
        assert (tmp_path / "stays" / name).read_bytes() == (tmp_path / "goes" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shared memory of this kind is Linux's")
def test_updates_of_workers_on_this_machine_lie_in_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every update of a run comes through a slot, all its arrays in it."""
    seen: list[Packed] = []
    unpack = Arena.unpack

    def watched(arena: Arena, packed: Packed, slot: Slot) -> Any:
        seen.append(packed)
        return unpack(arena, packed, slot)

    monkeypatch.setattr(Arena, "unpack", watched)
    run(toy(rounds=2), tmp_path / "run", grid="ray", n_workers=2)
    n_updates = (pd.read_parquet(tmp_path / "run" / "clients.parquet")["status"] != "dropped").sum()
    assert sum(len(packed.pieces) > 3 for packed in seen) >= n_updates > 0
    assert all(isinstance(piece, tuple) for packed in seen for piece in packed.pieces)
