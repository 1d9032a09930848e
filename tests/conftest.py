"""Fixtures of all tests, and which of them go to one process."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import ray
import torch
import torch._dynamo  # the first flop counter would import it, which takes long once there are many objects
from clusters import two_nodes

from distreal_sim.grids.ray.cluster import ray_instance

torch.set_num_threads(1)
gc.freeze()  # collections need not walk through what the libraries hold

# No time limits: a busy machine is not a bug.
hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.register_profile("long", deadline=None, max_examples=600)
hypothesis.settings.load_profile("default")

RAY_FIXTURES = {"cluster", "four_cores"}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """With pytest-xdist and `--dist loadgroup`: one process for all tests of Ray, of which a process has one
    instance, and one for a file's tests, which share fixtures; slow ones go wherever there is time for them.
    """
    for item in items:
        if item.get_closest_marker("ray") or RAY_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(item.path.as_posix()))


@pytest.fixture(scope="session")
def own_ray() -> Iterator[ExitStack]:
    """Holds the Ray instance that tests share; closing it shuts that down."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def four_cores(own_ray: ExitStack) -> None:
    """A Ray instance with room for four workers, however many cores there are; it stays for later tests."""
    if not ray.is_initialized():
        own_ray.enter_context(ray_instance(4))


@pytest.fixture
def cluster(own_ray: ExitStack) -> Iterator[int]:
    """The port of a Ray cluster of two nodes, which this process has not joined yet."""
    own_ray.close()
    assert not ray.is_initialized()
    with two_nodes() as port:
        yield port


@pytest.fixture
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is not given."""
    folder = os.environ.get("DISTREAL_SIM_TEST_DATA")
    if not folder:
        pytest.skip("DISTREAL_SIM_TEST_DATA names no folder with real data sets")
    return Path(folder)
