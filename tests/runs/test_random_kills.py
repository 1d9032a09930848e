"""Runs, searches and sweeps whose processes are killed at random moments end with the bytes of quiet ones.

Twenty times for each coordination; the default tests have the kills of `test_resume.py`. The moments are
seeded, as far as the progress that they follow upon can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from search.toy_search import result, write_search
from sweep.toy_sweep import write_sweep
from toys import TEXT_RECIPE, TOY

from distreal_sim.config import load_experiment
from distreal_sim.run import run
from distreal_sim.search.run import run_search
from distreal_sim.search.settings import load_search
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.run import run_sweep

from .compare import assert_same_results
from .test_plugins_resume import COMMON, VARIANTS
from .torment import lines, torment

RAY = ["--grid", "ray", "--workers", "2"]


COORDINATIONS: dict[str, tuple[dict[str, Any], int]] = {
    "rounds": ({}, 1),
    "fedbuff": ({"buffer": 3}, 1),
    "fedasync": ({}, 4),
    "semi_async": ({"period_s": 4.0}, 1),
    "first_k": ({}, 1),
    "wait_all": ({}, 1),
}
"""Options of each coordination, and how many of its steps bring as many jobs as one of the others."""

LINGERING = {
    "fedavg": "Lingering",
    "astraea": "LingeringAstraea",
    "adalearner": "LingeringAdaLearner",
    "ts_fl": "LingeringTsFl",
}
"""Methods whose clients remember and wait."""


def assert_bytes_of_a_quiet_run(victims: list[str], seed: int, tmp_path: Path, **changes: Any) -> None:
    """Clients remember, so that a job that was lost, or counted twice, would show."""
    config, out = tmp_path / "toy.yaml", tmp_path / "out"
    config.write_text(yaml.safe_dump({**TOY, "checkpoint_every": 5, "evaluation": {"every": 10}, **changes}))
    command = ["run", str(config), "--out", str(out), "--resume", *RAY]
    assert torment(command, lambda: lines(out / "rounds.csv"), victims, seed=seed, gap=2) == len(victims)
    run(load_experiment(config)[0], tmp_path / "whole", grid="serial")
    assert_same_results(out, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", COORDINATIONS)
@pytest.mark.parametrize(("victims", "rounds"), [(["worker"] * 12, 300), (["driver", "worker"] * 4, 200)])
def test_a_run(victims: list[str], rounds: int, name: str, tmp_path: Path) -> None:
    """Without rounds, jobs from several models are on their way when somebody dies."""
    options, steps = COORDINATIONS[name]
    assert_bytes_of_a_quiet_run(
        victims,
        rounds,
        tmp_path,
        method={"name": "misbehaving.Lingering"},
        rounds=rounds * steps,
        coordination={"name": name, **options},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rounds", "fedbuff"])
def test_a_run_of_texts(name: str, tmp_path: Path) -> None:
    """Adam, and scores of each client's own texts."""
    assert_bytes_of_a_quiet_run(
        ["driver", "worker"] * 2,
        100,
        tmp_path,
        **TEXT_RECIPE,
        method={"name": "misbehaving.Lingering"},
        rounds=100,
        coordination={"name": name, **COORDINATIONS[name][0]},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "astraea",
        "adalearner",
        "ts_fl",
        "ts_fl asynchronous",
        "oort",
        "oort asynchronous",
        "refl",
        "refl asynchronous",
    ],
)
def test_a_run_whose_server_remembers(name: str, tmp_path: Path) -> None:
    """Methods and selections whose next step depends on what they heard of the steps before; TS-FL's, which
    does not, on the capacities at its start.
    """
    changes = {**COMMON, **VARIANTS[name]}
    method = {**changes["method"], "name": f"misbehaving.{LINGERING[changes['method']['name']]}"}
    steps = 4 if changes.get("coordination") == {"name": "fedasync"} else 1
    assert_bytes_of_a_quiet_run(
        ["driver", "worker"] * 2, len(name), tmp_path, **{**changes, "method": method, "rounds": 120 * steps}
    )


@pytest.mark.slow
@pytest.mark.parametrize("victims", [["worker"] * 6, ["driver", "worker"] * 2])
def test_a_search(victims: list[str], tmp_path: Path) -> None:
    config = write_search(tmp_path, evaluations=400, generations=100, population=10, repeats=4)
    out = tmp_path / "out"
    command = ["search", str(config), "--workers", "2", "--out", str(out), "--resume"]
    n_killed = torment(command, lambda: lines(out / "evaluations.jsonl"), victims, seed=len(victims), gap=6)
    assert n_killed == len(victims)
    search, experiment, _ = load_search(config)
    run_search(search, experiment, tmp_path / "whole", config=config.stem, n_workers=1)
    assert result(out) == result(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("victims", [["worker"] * 6, ["driver", "worker"] * 2])
def test_a_sweep(victims: list[str], tmp_path: Path) -> None:
    """Sixteen cells; after each kill two more are finished, so that no cell loses its worker three times."""
    config = write_sweep(tmp_path, {"rounds": 40, "checkpoint_every": 2}, seeds=[7, 8, 9, 10])
    out = tmp_path / "out"

    def finished() -> int:
        return sum('"finished"' in info.read_text() for info in out.glob("*/run.json"))

    command = ["sweep", str(config), "--workers", "2", "--out", str(out)]
    assert torment(command, finished, victims, seed=len(victims), gap=2) == len(victims)
    sweep, cells, _ = load_cells(config)
    run_sweep(sweep, cells, tmp_path / "whole", n_workers=1)
    assert (out / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()
    for cell in cells:
        assert_same_results(out / cell.hash, tmp_path / "whole" / cell.hash)
