"""A Ray cluster of two nodes, each a `ray start` with its own core, on this host."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

RAY = [str(Path(sys.executable).parent / "ray")]


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raylets(port: int) -> list[psutil.Process]:
    """The node processes of the cluster whose head listens on `port`, oldest first."""
    found = [
        p
        for p in psutil.process_iter(["cmdline", "create_time"])
        if p.info["cmdline"] and "raylet" in Path(p.info["cmdline"][0]).name
    ]
    mine = [p for p in found if any(f":{port}" in part for part in p.info["cmdline"])]
    return sorted(mine, key=lambda p: p.info["create_time"])


@contextlib.contextmanager
def two_nodes() -> Iterator[int]:
    """The port of a cluster of two nodes with one core each; its processes end with the block."""
    port = free_port()
    env = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # several nodes behind one address
        "RAY_worker_niceness": "0",  # or workers stand still on a busy machine
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    common = ["--num-cpus=1", "--num-gpus=1", "--object-store-memory=100000000", "--disable-usage-stats"]
    head = ["start", "--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    # In /tmp/ray it would leave its address, to which any later `ray.init()` on this machine would connect.
    folder = tempfile.mkdtemp(prefix="ray-")
    head += [f"--temp-dir={folder}"]
    try:
        subprocess.run([*RAY, *head, *common], env=env, check=True, capture_output=True)
        subprocess.run(
            [*RAY, "start", f"--address=127.0.0.1:{port}", *common], env=env, check=True, capture_output=True
        )
        yield port
    finally:
        for process in raylets(port):
            process.kill()
        for process in psutil.process_iter(["cmdline"]):
            if any(re.search(rf"(port=|:){port}\b", part) for part in process.info["cmdline"] or []):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
