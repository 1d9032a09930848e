"""How many cores and how much memory a job may use, from files as Linux writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from distreal_sim.base import process
from distreal_sim.base.process import available_bytes, memory_limit_bytes, n_cores

MIB = 2**20

Write = Callable[[str, str], None]


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A machine with 64 cores, all of them allowed, and 4,096 MiB of memory, 3,000 of them free.

    Writes its files below /proc/self and /sys/fs/cgroup.
    """
    monkeypatch.setattr(process, "PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    memory = SimpleNamespace(total=4096 * MIB, available=3000 * MIB)
    monkeypatch.setattr(process.psutil, "virtual_memory", lambda: memory)

    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text.replace("TOP", str(tmp_path)))

    return write


V2 = "30 29 0:26 / TOP/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 29 0:27 {root} TOP/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 29 0:28 {root} TOP/cgroup/memory rw master:3 - cgroup cgroup rw,memory\n"
)


def test_affinity(linux: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """`taskset -c 3,5,8`, without cgroups: the machine's 64 cores do not count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 8})
    assert n_cores() == 3
    assert memory_limit_bytes() is None
    assert available_bytes() == 3000 * MIB


@pytest.mark.parametrize(("quota", "cores"), [("250000 100000", 2), ("50000 100000", 1), ("max 100000", 64)])
def test_a_container_of_version_2(quota: str, cores: int, linux: Write) -> None:
    """`docker --cpus 2.5`: two whole cores; its own cgroup is mounted as the root."""
    linux("proc/cgroup", "0::/\n")
    linux("proc/mountinfo", V2)
    linux("cgroup/cpu.max", f"{quota}\n")
    assert n_cores() == cores


def test_the_tightest_of_nested_cgroups_counts(linux: Write) -> None:
    """A Slurm job: the step below it has no limits, nor has the machine. 1,024 MiB - (600 - 200 that can be
    forgotten) = 624 MiB are free.
    """
    linux("proc/cgroup", "0::/slurm/job_7/step_0\n")
    linux("proc/mountinfo", V2)
    linux("cgroup/slurm/job_7/cpu.max", "400000 100000\n")
    linux("cgroup/slurm/job_7/step_0/cpu.max", "max 100000\n")
    linux("cgroup/slurm/memory.max", "max\n")
    linux("cgroup/slurm/job_7/memory.max", f"{1024 * MIB}\n")
    linux("cgroup/slurm/job_7/memory.current", f"{600 * MIB}\n")
    linux("cgroup/slurm/job_7/memory.stat", f"anon {400 * MIB}\ninactive_file {200 * MIB}\n")
    linux("cgroup/slurm/job_7/step_0/memory.max", f"{2048 * MIB}\n")
    linux("cgroup/slurm/job_7/step_0/memory.current", f"{10 * MIB}\n")
    assert n_cores() == 4
    assert memory_limit_bytes() == 1024 * MIB
    assert available_bytes() == 624 * MIB


@pytest.mark.parametrize(("root", "below"), [("/", "/docker/af01"), ("/docker/af01", "")])
def test_version_1(root: str, below: str, linux: Write) -> None:
    """The same cgroup seen from the host, and from a container that shares the host's names."""
    linux("proc/cgroup", "7:memory:/docker/af01\n3:cpu,cpuacct:/docker/af01\n1:name=systemd:/x\n0::/x\n")
    linux("proc/mountinfo", V1.format(root=root))
    linux(f"cgroup/cpu,cpuacct{below}/cpu.cfs_quota_us", "300000\n")
    linux(f"cgroup/cpu,cpuacct{below}/cpu.cfs_period_us", "100000\n")
    linux(f"cgroup/memory{below}/memory.limit_in_bytes", f"{500 * MIB}\n")
    linux(f"cgroup/memory{below}/memory.usage_in_bytes", f"{100 * MIB}\n")
    assert n_cores() == 3
    assert memory_limit_bytes() == 500 * MIB
    assert available_bytes() == 400 * MIB


def test_version_1_without_limits(linux: Write) -> None:
    """A quota of -1, and a memory limit of nearly 2**63 bytes, are none."""
    linux("proc/cgroup", "7:memory:/\n3:cpu,cpuacct:/\n")
    linux("proc/mountinfo", V1.format(root="/"))
    linux("cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    linux("cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    linux("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    linux("cgroup/memory/memory.usage_in_bytes", f"{100 * MIB}\n")
    assert n_cores() == 64
    assert memory_limit_bytes() is None
    assert available_bytes() == 3000 * MIB


def test_where_nothing_says_how_many(linux: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither affinity nor cgroups, as on macOS: the machine's cores."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert n_cores() == 5


def test_everybody_asks_here() -> None:
    """No other module counts the machine's cores or its memory."""
    root = Path(process.__file__).parent
    for path in root.rglob("*.py"):
        if path.name != "process.py":
            text = path.read_text()
            assert not [word for word in ("cpu_count", "getaffinity", "virtual_memory") if word in text], path
