"""Pieces of the tables of `inspect`."""

from __future__ import annotations

import math

from distreal_sim.inspection.sparkline import sparkline


def test_sparkline() -> None:
    """The lowest symbol is 0, the highest the largest level, or an infinite one."""
    assert sparkline([0, 0.5, 1.0], "abc") == "abc"
    assert sparkline([0, 0], "abc") == "aa"
    assert sparkline([0, math.inf], "abc") == "ac"
