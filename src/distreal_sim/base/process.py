"""How a process that computes is set up, and how much of the machine its job may use.

The same results on any machine, and no waste of memory pages. A job (of Slurm, of a container, under
`taskset`) often has fewer cores and less memory than the machine.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from distreal_sim.base.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

KEPT_BYTES = 2**25
"""The largest block that is kept for its next user; older versions of glibc allow no more."""

N_KERNELS = 8192
"""How many compiled kernels oneDNN keeps. It makes one for every shape, layer and direction: a
front of 16 vectors on a network of 40 convolutions needs 1,900, and 1,024 are its default."""

KERNEL_BYTES = 110_000
"""Of one of them at most, where we looked: 35,000 in a deep thinned network, more in wide convolutions."""

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which users set the same themselves."""


def prepare_process() -> None:
    """Sets this process up: one thread for torch; oneDNN keeps its kernels, malloc its freed memory.

    One thread and two give different convolution gradients. The number of kernels is read when the first
    convolution is computed.
    """
    torch.set_num_threads(1)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(N_KERNELS))
    if sys.platform == "linux" and not any(name in os.environ for name in SETTINGS):
        _keep_freed_memory()


def give_back_freed_memory() -> None:
    """Returns the free memory of malloc's heap to the system, once, after reading data and starting up."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if malloc_trim is not None:
            malloc_trim(0)


def _keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the system.

    It does so by default with large blocks and at the end of its heap, and every training step would then get
    fresh pages for its activations, one page fault each. Blocks of more than KEPT_BYTES, which are those of
    test batches, still go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)


PROC = Path("/proc/self")
"""Files of Linux with the cgroups of this process and their mount points."""

ENDLESS = 2**60
"""A memory limit from here on is none: cgroups of version 1 have one of nearly 2**63 bytes by default."""


def check_workers(n_workers: int | None) -> None:
    """Raises InputError for a number of workers below 1; None means as many as there is room for."""
    if n_workers is not None and n_workers < 1:
        raise InputError(f"n_workers = {n_workers} must be at least 1; leave it out for one a core")


def n_cores() -> int:
    """Cores that this process may use: the machine's, as far as affinity and the cgroups' quotas allow.

    At least one. Of a quota of 2.5 cores two have room for a process that computes all the time.
    """
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _cgroups("cpu") if (quota := _cpu_quota(folder)) is not None]
    return max(1, int(min([float(n), *quotas])))


def memory_limit_bytes() -> int | None:
    """The least memory limit of the cgroups of this process; None if that is no less than the machine has."""
    limits = [limit for folder in _cgroups("memory") if (limit := _memory_limit(folder)) is not None]
    least = min(limits, default=ENDLESS)
    return least if least < psutil.virtual_memory().total else None


def available_bytes() -> int:
    """Memory that is free for new processes, on this machine and within the limits of its cgroups."""
    free = [int(psutil.virtual_memory().available)]
    for folder in _cgroups("memory"):
        limit, used = _memory_limit(folder), _memory_used(folder)
        if limit is not None and used is not None:
            free.append(max(0, limit - used))
    return min(free)


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of the cgroups that limit this process, the outermost first: of version 2, and of the
    controller (cpu, memory) in version 1. None where there are no cgroups.
    """
    try:
        lines = (PROC / "cgroup").read_text().splitlines()
        mounts = [line.split() for line in (PROC / "mountinfo").read_text().splitlines()]
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in mounts:
            kind, options = mount[mount.index("-") + 1], mount[-1].split(",")
            if kind != ("cgroup" if controllers else "cgroup2"):
                continue
            if controllers and controller not in options:
                continue
            # In a container without a namespace of its own the path is that on the host: what is mounted is
            # then the container's own cgroup.
            root, folder = mount[3], Path(mount[4])
            own = path.removeprefix(root) if path.startswith(root) else ""
            yield folder
            for part in Path(own.lstrip("/")).parts:
                folder /= part
                yield folder


def _cpu_quota(folder: Path) -> float | None:
    """Cores' worth of time of the cgroup in this folder; None: no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none of these, or `max`
        return None
    return cores if cores > 0 else None  # -1: no limit


def _memory_limit(folder: Path) -> int | None:
    limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    return limit if limit is not None and limit < ENDLESS else None


def _memory_used(folder: Path) -> int | None:
    """Bytes in use, without files that were read and can be forgotten at once."""
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    if used is None:
        return None
    try:
        words = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
        facts = {key: int(value) for key, value in words}
    except (OSError, ValueError):
        return used
    return max(0, used - facts.get("total_inactive_file", facts.get("inactive_file", 0)))


def _number(*paths: Path) -> int | None:
    """The whole number in the first of the files that holds one."""
    for path in paths:
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            continue
    return None
