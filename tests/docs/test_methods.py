"""The table of methods has every method."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from distreal_sim.base.plugins import names
from distreal_sim.methods import Method
from distreal_sim.server.coordination import Coordination
from distreal_sim.server.selection import Selection

TABLE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "methods.md").read_text()


def test_one_row_a_method() -> None:
    """And no row for one that is not there; each row has the seven cells of the head."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", TABLE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(names(Method))
    assert {line.count("|") for _, line in rows} == {5}


@pytest.mark.parametrize("kind", [Coordination, Selection])
def test_one_row_a_server_and_a_selection(kind: type[Coordination] | type[Selection]) -> None:
    """Their fidelity stands in the table; the docstring of each says what is the paper's and what is ours."""
    rows = re.findall(rf"^\| {kind.label} \| `(\w+)` \| .+ \|$", TABLE, re.MULTILINE)
    assert sorted(rows) == sorted(names(kind))
    for name in rows:
        text = importlib.import_module(f"{kind.package}.{name}").__doc__ or ""
        assert re.search(r"(?i)\bour (choice|formulation)\b", " ".join(text.split())), name
