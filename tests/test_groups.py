"""Which process does which tests."""

from __future__ import annotations

import pytest


def test_a_files_tests_go_to_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist adds to a test's name the group that conftest.py gave it, if it has seen it."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("without `-n 2 --dist loadgroup` there is one process")
    assert request.node.nodeid.endswith("@test_groups.py")
