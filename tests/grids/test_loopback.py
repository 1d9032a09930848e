"""Nothing that Ray starts for us can be reached from another machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import psutil, ray
from distreal_sim.grids.ray.cluster import ray_instance

with ray_instance(2):
    ray.get([ray.remote(lambda: None).remote() for _ in range(2)])
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                print(connection.laddr.ip)
"""


@pytest.mark.slow
def test_ray_listens_on_loopback_only() -> None:
    """Every listening socket of the driver and its children, once two workers have answered."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    addresses = done.stdout.split()
    assert len(addresses) >= 4
    assert {a.removeprefix("::ffff:") for a in addresses} == {"127.0.0.1"}
