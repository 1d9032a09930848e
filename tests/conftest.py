"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from clusters import two_nodes

torch.set_num_threads(1)

# No time limits: a busy machine is not a bug.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def cluster() -> Iterator[int]:
    """The port of a Ray cluster of two nodes."""
    with two_nodes() as port:
        yield port


@pytest.fixture
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is not given."""
    folder = os.environ.get("DISTREAL_SIM_TEST_DATA")
    if not folder:
        pytest.skip("DISTREAL_SIM_TEST_DATA names no folder with real data sets")
    return Path(folder)
