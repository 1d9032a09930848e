"""Kills a run again and again at seeded random moments, resuming it each time, then lets it end.

    python crash.py CONFIG.yaml OUT SEED N_KILLS WHERE

Every life of the run is a process of its own that dies of SIGKILL. WHERE is `anywhere`: it is killed 0 to
100 ms after its k-th round, k from 0 to 5 (0: from its birth on); or `files`: when it has executed n lines of
the modules that write files, n from 1 to 150, so that the kill falls between two operations on files. Prints
how often a life was cut short.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from distreal_sim.base import files
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.run import run
from distreal_sim.simulation import checkpoints, run_directory
from distreal_sim.simulation import rows as records

WRITERS = {files.__file__, records.__file__, checkpoints.__file__, run_directory.__file__}


def live(experiment: Experiment, out: Path, report: int, n_lines: int | None) -> None:
    """One life: a byte in the pipe for every round; ends by SIGKILL before line n_lines, if that comes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in WRITERS:
            return None
        count += event == "line"
        if count == n_lines:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    if n_lines is not None:
        sys.settrace(trace)
    run(experiment, out, grid="serial", resume=True, callbacks=[lambda row: os.write(report, b".") and None])


def main() -> None:
    config, out, seed, n_kills, where = sys.argv[1:]
    experiment, _ = load_experiment(Path(config))
    rng = random.Random(seed)
    n_killed = 0
    for life in range(int(n_kills) + 1):
        mortal = life < int(n_kills)
        n_rounds, delay_s, n_lines = rng.randint(0, 5), rng.uniform(0, 0.1), rng.randint(1, 150)
        reader, report = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            live(experiment, Path(out), report, n_lines if mortal and where == "files" else None)
            os._exit(0)
        os.close(report)
        if mortal and where == "anywhere":
            for _ in range(n_rounds):
                os.read(reader, 1)
            time.sleep(delay_s)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(reader)
        n_killed += os.WIFSIGNALED(status)
        if not mortal:
            assert os.WEXITSTATUS(status) == 0
    print(n_killed)


if __name__ == "__main__":
    main()
