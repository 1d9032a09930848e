"""A line for each thing that can be listed."""

from __future__ import annotations

import pytest

from distreal_sim.inspection.listing import kinds, lines


@pytest.mark.parametrize("kind", kinds())
def test_a_line_for_each(kind: str) -> None:
    """Within 80 columns, each with a name and a text."""
    found = lines(kind)
    assert found
    assert all(len(line) <= 80 and len(line.split()) > 1 for line in found)
