"""Fixtures of all tests, and which of them go to one process."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import ray
import torch
from clusters import two_nodes

from distreal_sim.grids.ray.cluster import ray_instance

torch.set_num_threads(1)

# No time limits: a busy machine is not a bug.
hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.register_profile("long", deadline=None, max_examples=600)
hypothesis.settings.load_profile("default")

RAY_FIXTURES = {"cluster", "four_cores"}

LONGEST = (
    "docs/test_pages.py",
    "search/test_run.py",
    "methods/test_contract.py",
    "runs/test_resume.py",
    "thinning/foreign/test_foreign.py",
    "docs/test_readme.py",
    "thinning/test_identity.py",
    "methods/test_properties.py",
    "methods/test_goldens.py",
    "sweep/test_run.py",
    "thinning/measured/test_clock.py",
    "inspection/test_cautions.py",
    "planning/test_replay.py",
    "search/test_memory.py",
    "results/plots/test_contract.py",
    "results/trackers/test_own.py",
)
"""The files that take longest begin first, after the tests of Ray: otherwise one process ends with a long one
while the others have nothing left to do.
"""


TESTS = Path(__file__).parent


def pytest_itemcollected(item: pytest.Item) -> None:
    """With pytest-xdist and `--dist loadgroup`: one process for all tests of Ray, of which a process has one
    instance, and one for a file's tests, which share fixtures; slow ones go wherever there is time for them.

    Later hooks are too late: pytest-xdist reads the marks as the first thing after the collection.
    """
    if _is_of_ray(item):
        item.add_marker(pytest.mark.xdist_group("ray"))
    elif not item.get_closest_marker("slow"):
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).as_posix()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--no-loadscope-reorder` tests are done in the order that they are left in here: see LONGEST."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: -1 if _is_of_ray(item) else places.get(item.path, len(LONGEST)))


def _is_of_ray(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("ray") or RAY_FIXTURES & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What is written survives the end of a process; the end of the machine, no test tries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """In the processes that test: the first flop counter would import this, which takes long once there are
    many objects; and collections of garbage need not walk through what the libraries hold.
    """
    importlib.import_module("torch._dynamo")
    gc.freeze()


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
