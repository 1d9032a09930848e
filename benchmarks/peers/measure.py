"""Runs a command on some cores and watches its memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

PAUSE_PER_SAMPLE = 50
"""Looking at the memory of a process keeps a core busy: at most 2 % of one."""


@dataclass(frozen=True)
class Measured:
    """line: the JSON that the command printed, empty if it failed; tail: the end of its error output."""

    line: dict[str, Any]
    whole_wall_s: float
    pss_bytes: int
    tail: str


def pss_of(process: psutil.Process) -> int:
    """Proportional set size of a process and all below it: a shared page counts once, in equal parts."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # it has ended meanwhile
            continue
    return total


def run(command: Sequence[str], n_cores: int, timeout_s: float) -> Measured:
    """Runs the command with one thread a process on the first n_cores cores."""
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        child = psutil.Popen(
            list(command),
            stdout=out,
            stderr=err,
            env={**os.environ, **threads, **quiet},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        peak = wait_and_watch(child, begin + timeout_s)
        whole_wall_s = time.perf_counter() - begin
        out.seek(0)
        err.seek(0)
        lines = [line for line in out.read().splitlines() if line.startswith('{"contender"')]
        tail = err.read()[-2000:]
    done = child.returncode == 0 and len(lines) == 1
    return Measured(json.loads(lines[0]) if done else {}, whole_wall_s, peak, tail)


def wait_and_watch(child: psutil.Popen, deadline: float) -> int:
    """The peak of `pss_of` until the child ends; past the deadline it is killed with all below it."""
    peak = 0
    while True:
        begin = time.perf_counter()
        with contextlib.suppress(psutil.Error):
            peak = max(peak, pss_of(child))
        pause_s = max(0.2, PAUSE_PER_SAMPLE * (time.perf_counter() - begin))
        try:
            child.wait(min(pause_s, max(0.0, deadline - time.perf_counter())))
            return peak
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            if time.perf_counter() >= deadline:
                for process in (*child.children(recursive=True), child):
                    process.kill()
                child.wait()
                return peak
