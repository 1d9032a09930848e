"""How processes that compute are set up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from distreal_sim.process import SETTINGS, prepare_process

FAULTS = """
import resource
import torch
from distreal_sim.process import prepare_process
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


def test_one_thread() -> None:
    prepare_process()
    assert torch.get_num_threads() == 1


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
