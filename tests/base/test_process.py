"""How processes that compute are set up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

import distreal_sim as ds
from distreal_sim.base.errors import InputError
from distreal_sim.base.process import SETTINGS, prepare_process

FAULTS = """
import resource
import torch
from distreal_sim.base.process import prepare_process
prepare_process()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    for _ in range(10):
        torch.ones(3_000_000)  # 12 MB, 2,930 pages, freed at once
use()
before = faults()
use()
print(faults() - before)
"""

START = """
import psutil
import torch
from distreal_sim.base.process import give_back_freed_memory, prepare_process
prepare_process()
torch.ones(10)
before = psutil.Process().memory_info().rss
blocks = [torch.ones(1_000_000) for _ in range(100)]
del blocks
print(psutil.Process().memory_info().rss - before)
give_back_freed_memory()
print(psutil.Process().memory_info().rss - before)
"""

KERNELS = """
import torch
from distreal_sim.base.process import prepare_process
prepare_process()
shapes = [(1 + n % 40, 1 + n // 40) for n in range(1200)]
for turn in range(2):
    print(f"turn {turn}", flush=True)
    for n_in, n_out in shapes:
        torch.conv2d(torch.ones(2, n_in, 8, 8), torch.ones(n_out, n_in, 3, 3))
"""


@pytest.mark.slow
def test_kernels_of_many_shapes_are_kept() -> None:
    """1,200 convolutions, twice: the second time oneDNN, whose own limit is 1,024, makes no kernel again."""
    env = {**os.environ, "ONEDNN_VERBOSE": "2"}
    env.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    found = []
    for own in ({}, {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"}):
        command = [sys.executable, "-c", KERNELS]
        done = subprocess.run(command, env=env | own, capture_output=True, text=True, check=True)
        second = done.stdout.partition("turn 1")[2]
        found.append((second.count("create:cache_miss") == 0, "create:cache_hit" in second))
        if "create:" not in done.stdout:
            pytest.skip("this torch computes convolutions without oneDNN")
    assert found == [(True, True), (False, True)]


@pytest.mark.parametrize("play", [ds.run, ds.sweep, ds.search])
@pytest.mark.parametrize("n_workers", [0, -1])
def test_less_than_one_worker(play: Callable[..., Any], n_workers: int) -> None:
    with pytest.raises(
        InputError, match=rf"^n_workers = {n_workers} must be at least 1; leave it out for one"
    ):
        play({}, n_workers=n_workers)


def test_one_thread() -> None:
    torch.set_num_threads(2)
    prepare_process()
    assert torch.get_num_threads() == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_what_starting_up_took_is_given_back() -> None:
    """400 MB that were used and freed stay with the process until it gives them back."""
    env = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    done = subprocess.run([sys.executable, "-c", START], env=env, capture_output=True, check=True)
    kept, given_back = map(int, done.stdout.split())
    assert kept > 350 * 2**20
    assert given_back < 50 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_kept_unless_the_user_says_otherwise() -> None:
    """Of 29,300 page faults nearly all go away; with a threshold of the user's own they are there."""
    env = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    counts = [
        int(subprocess.run([sys.executable, "-c", FAULTS], env=e, capture_output=True, check=True).stdout)
        for e in (env, {**env, "MALLOC_MMAP_THRESHOLD_": "100000"})
    ]
    assert counts[0] < 1000
    assert counts[1] > 10_000
