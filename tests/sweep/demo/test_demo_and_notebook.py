"""The demo, shortened, and the notebook that reads its runs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

from distreal_sim.cli import app
from distreal_sim.results.runs import Run
from distreal_sim.sweep.demo import EXPERIMENT, verdict

ROOT = Path(__file__).parents[3]

METHODS = ["distreal", "distreal-ordered", "fedavg-drop", "fedavg-partial", "heterofl", "small"]


@pytest.mark.slow
def test_demo_then_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six methods, two seeds, 3 rounds each: 36 points, a figure, a table, a config; then every cell runs.

    The same command again plays nothing.
    """
    out = tmp_path / "demo"
    command = ["demo", "rounds=3", "seeds=[1,2]", "--workers", "1", "--out", str(out)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "highest final accuracy" in done.stdout
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(out / "table.csv")
    assert sorted(table["method"]) == METHODS
    assert set(table["seeds"]) == {2}
    points = pd.read_csv(out / "curves.csv")
    assert points.groupby(["method", "seed"])["round"].apply(list).tolist() == [[1, 2, 3]] * 12
    assert (out / "digits.yaml").read_bytes() == EXPERIMENT.read_bytes()
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "12 cells, 12 of them finished before" in again.stdout

    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    monkeypatch.setenv("DISTREAL_SIM_RUNS", str(out))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    NotebookClient(notebook, timeout=300).execute(cwd=str(ROOT / "notebooks"))
    shown = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in shown) == 2


def test_the_config_of_the_demo_is_that_of_the_configs() -> None:
    """A wheel has no configs/, so the package holds a copy."""
    assert EXPERIMENT.read_bytes() == (ROOT / "configs" / "digits.yaml").read_bytes()


def test_verdict() -> None:
    """Final accuracies: a 0.7 and 0.9, b 0.6 and 0.7. Means 0.8 and 0.65; a's values lie 0.1 from their mean.

    Two values d from their mean: std sqrt(2) d, over sqrt(2) is d; half-width t(0.975, 1) d = 12.706 d. So
    1.271 for a; b - a is -0.1 and -0.2, mean -0.15, half-width 12.706 x 0.05 = 0.635. Only a reaches 0.7 in
    both seeds: at 20 s and 10 s, mean 15, half-width 12.706 x 5 = 64.
    """
    accuracies = {("a", 1): [0.5, 0.7], ("a", 2): [0.8, 0.9], ("b", 1): [0.5, 0.6], ("b", 2): [0.6, 0.7]}
    runs = [
        Run(
            Path(label),
            {"method": {"name": label}},
            pd.DataFrame(
                {
                    "round": [1, 2],
                    "sim_s": [10.0, 20.0],
                    "test_accuracy": values,
                    "macs": 1.0,
                    "macs_available": 1.0,
                    "n_selected": 1.0,
                    "n_completed": 1.0,
                }
            ),
            label,
            seed,
        )
        for (label, seed), values in accuracies.items()
    ]
    assert verdict(runs, 0.7) == [
        "highest final accuracy: a, 0.800 ± 1.271; the others minus it: b -0.150 ± 0.635",
        "0.7 reached in all seeds, in simulated time: a 15 ± 64 s",
    ]
    assert verdict(runs, 0.95)[1] == "0.95 reached in all seeds, in simulated time: none"
