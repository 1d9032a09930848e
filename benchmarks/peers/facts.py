"""What numbers were measured on: the machine and the versions."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
from prepare import versions

PACKAGES = {"pfl": ["pfl"], "fluke": ["fluke-fl"], "flower": ["flwr", "ray"]}
OWN = ["distreal-sim", "torch", "flwr", "ray", "numpy"]


def machine() -> str:
    """Day, processor, memory, and how busy the machine is."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in cpus if line.startswith("model name")), platform.machine())
    kernel = ".".join(platform.release().split(".")[:2])
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {model}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {kernel}; load average at the start {os.getloadavg()[0]:.2f}"
    )


def in_use(pythons: dict[str, Path]) -> str:
    """The versions of this environment and of those of the peers."""
    own = versions(Path(sys.executable), OWN)
    found = [", ".join([f"Python {platform.python_version()}", *(f"{k} {v}" for k, v in own.items())])]
    for peer, python in pythons.items():
        theirs = versions(python, [*PACKAGES[peer], "torch"])
        found.append(f"{peer}'s environment: " + ", ".join(f"{k} {v}" for k, v in theirs.items()))
    return "; ".join(found)
