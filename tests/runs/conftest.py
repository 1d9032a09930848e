"""One Ray instance for all tests of runs in a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from distreal_sim.grids.ray.cluster import ray_instance


@pytest.fixture(scope="package")
def four_cores() -> Iterator[None]:
    """A Ray instance with room for four workers, however many cores there are."""
    with ray_instance(4):
        yield
