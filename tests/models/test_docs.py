"""The table of docs/reference/models.md has every bundled network, with the counts of its docstring."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from distreal_sim.base.plugins import names
from distreal_sim.models import Model

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", names(Model))
def test_counts_are_those_of_the_docstring(name: str) -> None:
    """test_counts.py holds the docstring to the network."""
    row = re.search(rf"^\| `{name}` \| .*", PAGE, re.MULTILINE)
    assert row, f"add model {name} to docs/reference/models.md"
    counts = row[0].split(" | ")[3:5]
    text = importlib.import_module(f"{Model.package}.{name}").__doc__ or ""
    assert all(count in text for count in counts), counts
