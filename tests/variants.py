"""Cases of a test of which some run by default and all in the slow tests."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest

SOME = ("distreal", "fednova", "heterofl", "flexfl", "depthfl", "folb")
"""A method of each kind: thinned in every step, the full network, cut out for a round, parts of unequal size,
exits, two passes.
"""


def by_default(cases: Iterable[Any], kept: Container[Any]) -> list[Any]:
    """For `parametrize`: every case; those that are not among `kept` are slow tests."""
    return [case if case in kept else _slow(case) for case in cases]


def _slow(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
