"""A line for each thing that can be listed."""

from __future__ import annotations

import pytest

from distreal_sim.inspection.listing import kinds, lines, names


@pytest.mark.parametrize("kind", kinds())
def test_a_line_for_each(kind: str) -> None:
    """Each with a name and a whole sentence; on a terminal filled, within 80 columns."""
    found = names(kind)
    assert found
    whole, filled = lines(kind), lines(kind, 80)
    assert [line.split()[0] for line in whole] == list(found)
    assert all(len(line.split()) > 1 for line in whole)
    assert max(map(len, filled)) <= 80
    assert " ".join(filled).split() == " ".join(whole).split()
