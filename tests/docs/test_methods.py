"""The table of methods has every method."""

from __future__ import annotations

import re
from pathlib import Path

from distreal_sim.base.plugins import names
from distreal_sim.methods import Method

TABLE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "methods.md").read_text()


def test_one_row_a_method() -> None:
    """And no row for one that is not there; each row has the seven cells of the head."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", TABLE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(names(Method))
    assert {line.count("|") for _, line in rows} == {5}
