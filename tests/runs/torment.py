"""Kills a command and its workers at seeded random moments, and lets it end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

TESTS = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-c", "from distreal_sim.cli import main; main()"]

LATER_WALL_S = 0.3
"""A victim dies at most so long after the progress that was waited for."""

LINGER_WALL_S = 0.02
"""Every training of `misbehaving.Lingering` takes at least so long: no run is over before the last kill."""


def torment(
    command: Sequence[str], progress: Callable[[], int], victims: Sequence[str], seed: int, gap: int
) -> int:
    """How many victims were killed by SIGKILL before the command had ended, which it must, with exit code 0.

    command: words after `distreal-sim`; one that goes on from where it stopped. progress: a number that grows
    as it works. victims: `driver` or `worker`, in this order; before each the progress grows by `gap`, so
    that no job is killed three times. Of the workers the one that has lived longest dies.
    """
    rng = random.Random(seed)
    process = start(command)
    try:
        for n_killed, victim in enumerate(victims):
            target = progress() + gap
            while progress() < target:
                if process.poll() is not None:
                    assert process.returncode == 0, process.communicate()[1]
                    return n_killed
                time.sleep(0.005)
            time.sleep(rng.uniform(0, LATER_WALL_S))
            if victim == "driver":
                process.kill()
                process.communicate()
                process = start(command)
            else:
                kill_a_worker(psutil.Process(process.pid))
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return len(victims)


def lines(path: Path) -> int:
    """Lines of a table that may not be there yet."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """The command in a process of its own, which finds the tests' own methods."""
    return subprocess.Popen(
        [*PROGRAM, *command, "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "OMP_NUM_THREADS": "1",
            "LINGER_WALL_S": str(LINGER_WALL_S),
        },
    )


RAY_ITSELF = ("ray::IDLE", "ray::Dashboard", "ray::RuntimeEnv")
"""Processes of Ray's own; without its agents a node dies, and with it the driver's cluster."""


def kill_a_worker(driver: psutil.Process) -> None:
    """SIGKILL to the oldest process that works for the driver."""
    while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:
        children = driver.children(recursive=True)
        workers = [
            c for c in children if c.name().startswith("ray::") and not c.name().startswith(RAY_ITSELF)
        ]
        if workers:
            min(workers, key=lambda worker: worker.create_time()).kill()
            return
        time.sleep(0.005)
