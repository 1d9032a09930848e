"""Each command says so when it is given another command's config; `check` takes sweeps too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from command import distreal_sim
from toys import TOY

Run = Callable[..., tuple[int, str, str]]

SWEEP = {
    "base": "toy.yaml",
    "grid": {"method.name": ["fedavg", "fedprox"], "local.lr": [0.1, 0.2]},
    "seeds": [1, 2],
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`distreal-sim WORD ...` in a folder with an experiment, a sweep and a search."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    (tmp_path / "search.yaml").write_text("experiment: toy.yaml")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return distreal_sim


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "run sweep.yaml",
            "this is a sweep file, not an experiment config; use `distreal-sim sweep sweep.yaml`",
        ),
        ("inspect model sweep.yaml", "this is a sweep file, not an experiment config"),
        ("run search.yaml", "this is a search config, not an experiment config; use `distreal-sim search"),
        ("check search.yaml", "this is a search config, not an experiment config"),
        ("sweep toy.yaml", "this is an experiment config, not a sweep file; use `distreal-sim run toy.yaml`"),
        ("sweep search.yaml", "this is a search config, not a sweep file"),
        ("search toy.yaml", "this is an experiment config, not a search config"),
        ("search sweep.yaml", "this is a sweep file, not a search config"),
    ],
)
def test_a_config_of_another_command(words: str, said: str, command: Run) -> None:
    code, out, err = command(*words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {words.split()[-1]}: {said}")


def test_check_of_a_sweep(command: Run) -> None:
    """Two methods x two rates x two seeds of four rounds: eight cells in four rows, 32 rounds."""
    code, out, err = command("check", "sweep.yaml")
    assert code == 0, err
    for method in ("fedavg", "fedprox"):
        for rate in ("0.1", "0.2"):
            assert len(re.findall(rf"{method} .*\b{rate} .*\b1, 2\b", out)) == 1, out
    assert "8 cells, 32 rounds together" in out
    code, out, err = command("check", "sweep.yaml", "seeds=[5]", "rounds=3")
    assert "4 cells, 12 rounds together" in out


def test_check_of_a_sweep_looks_at_every_cell(command: Run) -> None:
    """A key that is wrong in one cell, and a mistake that only the data show."""
    code, out, err = command("check", "sweep.yaml", "local.optimizer.momentum=2")
    assert (code, out) == (2, "")
    assert "local.optimizer.momentum = 2 must be less than 1" in err
    Path("sweep.yaml").write_text(yaml.safe_dump({**SWEEP, "grid": {"n_clients": [12, 100_000]}}))
    code, out, err = command("check", "sweep.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: cell 'n_clients=100000, seed 1': ")
