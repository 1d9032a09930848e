"""The demo script, shortened, and the notebook that reads what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_demo_then_notebook(tmp_path: Path) -> None:
    """Three methods, three seeds, 4 rounds: figure and table are there; then every cell runs."""
    out = tmp_path / "demo"
    command = [sys.executable, "experiments/demo.py", "--rounds", "4", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(out / "time_to_accuracy.csv")
    assert sorted(table["method"]) == ["distreal", "fedavg", "small"]
    assert set(table["seeds"]) == {3}

    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    os.environ["DISTREAL_SIM_RUNS"] = str(out)
    try:
        NotebookClient(notebook, timeout=300).execute(cwd=str(ROOT / "notebooks"))
    finally:
        del os.environ["DISTREAL_SIM_RUNS"]
    shown = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in shown) == 2
