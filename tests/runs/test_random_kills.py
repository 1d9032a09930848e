"""Runs, searches and sweeps whose processes are killed at random moments end with the bytes of quiet ones.

Sixty times in all; the default tests have the kills of `test_resume.py`. The moments are seeded, as far as
the progress that they follow upon can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from search.toy_search import result, write_search
from sweep.toy_sweep import write_sweep
from toys import TOY

from distreal_sim.config import load_experiment
from distreal_sim.run import run
from distreal_sim.search.run import run_search
from distreal_sim.search.settings import load_search
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.run import run_sweep

from .compare import assert_same_results
from .torment import lines, torment

RAY = ["--grid", "ray", "--workers", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("coordination", [{"name": "rounds"}, {"name": "fedbuff", "buffer": 3}], ids=str)
@pytest.mark.parametrize(
    ("victims", "rounds"),
    [
        (["worker"] * 12, 300),
        (["driver", "worker"] * 4, 200),
    ],
)
def test_a_run(victims: list[str], rounds: int, coordination: dict[str, Any], tmp_path: Path) -> None:
    """Clients remember, so that a job that was lost, or counted twice, would show.

    With `fedbuff` jobs from several models are on their way when somebody dies.
    """
    config, out = tmp_path / "toy.yaml", tmp_path / "out"
    changes = {"method": {"name": "misbehaving.Lingering"}, "rounds": rounds, "checkpoint_every": 5}
    changes["coordination"] = coordination
    config.write_text(yaml.safe_dump({**TOY, **changes, "evaluation": {"every": 10}}))
    command = ["run", str(config), "--out", str(out), "--resume", *RAY]
    assert torment(command, lambda: lines(out / "rounds.csv"), victims, seed=rounds, gap=2) == len(victims)
    run(load_experiment(config)[0], tmp_path / "whole", grid="serial")
    assert_same_results(out, tmp_path / "whole")


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
