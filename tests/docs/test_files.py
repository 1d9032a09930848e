"""docs/reference/files.md has the columns of every table of a run, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from command import distreal_sim

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "files.md").read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of one round, without training."""
    out = tmp_path_factory.mktemp("files") / "run"
    done = distreal_sim("run", ROOT / "configs" / "digits.yaml", "rounds=1", "--no-training", "--out", out)
    assert done.code == 0, done.stderr
    return out


@pytest.mark.parametrize("file", ["rounds.csv", "clients.parquet", "timing.csv"])
def test_columns(run: Path, file: str) -> None:
    section = PAGE.split(f"## `{file}`\n")[1].split("\n## ")[0]
    read = pd.read_csv if file.endswith(".csv") else pd.read_parquet
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(read(run / file).columns)
