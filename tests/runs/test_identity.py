"""The same config and seed give the same bytes, whoever computes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import toy

from distreal_sim.config import Experiment
from distreal_sim.run import run

from .compare import assert_same_results


def experiment(method: str, seed: int = 7) -> Experiment:
    """Clients come and go, and not every round is evaluated."""
    return toy(
        seed=seed,
        method={"name": method},
        availability={"name": "random", "share": 0.7},
        evaluation={"every": 3},
    )


@pytest.mark.parametrize(
    ("method", "n_workers"),
    [
        ("distreal", 1),
        ("distreal", 2),
        ("distreal", 4),
        ("fedavg", 2),
        ("small", 2),
        *(pytest.param(m, n, marks=pytest.mark.slow) for m in ("fedavg", "small") for n in (1, 4)),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_ray_gives_what_serial_gives(method: str, n_workers: int, tmp_path: Path) -> None:
    run(experiment(method), tmp_path / "serial", grid="serial")
    run(experiment(method), tmp_path / "ray", grid="ray", n_workers=n_workers)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")


def test_a_run_can_be_repeated_and_the_seed_matters(tmp_path: Path) -> None:
    run(experiment("distreal"), tmp_path / "first", grid="serial")
    run(experiment("distreal"), tmp_path / "again", grid="serial")
    run(experiment("distreal", seed=8), tmp_path / "other", grid="serial")
    assert_same_results(tmp_path / "first", tmp_path / "again")
    first, other = ((tmp_path / name / "rounds.csv").read_text().splitlines() for name in ("first", "other"))
    assert first[0] == other[0]
    assert not set(first[1:]) & set(other[1:])
