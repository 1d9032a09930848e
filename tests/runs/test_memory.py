"""What a run holds in memory does not grow with its rounds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

SCRIPT = """
import gc, sys
from pathlib import Path
import psutil
from misbehaving import Remembering
from toys import toy
from distreal_sim.run import run

experiment = toy(
    rounds=200, clients_per_round=2, local={"steps": 1, "batch_size": 16}, method=Remembering(),
    model={"name": "small_cnn", "width": 16}, evaluation={"every": 10}, checkpoint_every=10,
)

def look(row):
    if row.round in (50, 200):
        gc.collect()
        print(psutil.Process().memory_info().rss)

run(experiment, Path(sys.argv[1]), grid="serial", callbacks=[look])
"""


@pytest.mark.slow
def test_150_more_rounds_need_no_more_memory(tmp_path: Path) -> None:
    """Serial, so that server and clients are in one process. A model has 100 kB: one kept per round would be
    15 MB more. Allowed are 4 MB.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
    )
    after_50, after_200 = map(int, done.stdout.split())
    assert after_200 - after_50 < 4e6
