"""docs/reference/files.md has the columns of every table, in their order."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from distreal_sim.simulation.rows import ClientRow, RoundRow, Timing

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "files.md").read_text()


@pytest.mark.parametrize(
    ("file", "kind"), [("rounds.csv", RoundRow), ("clients.parquet", ClientRow), ("timing.csv", Timing)]
)
def test_columns(file: str, kind: type[object]) -> None:
    section = PAGE.split(f"## `{file}`\n")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert named == [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
