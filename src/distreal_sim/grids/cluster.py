"""The Ray instance: one of our own on this machine, or a cluster that is running already."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

import ray
from ray._private import worker as ray_worker

from distreal_sim.errors import InputError

REACH_WALL_S = 10.0
"""How long a Ray cluster's address is tried."""

START_TRIES = 3
"""How often Ray is started when it takes too long for its own patience."""


@contextlib.contextmanager
def ray_instance(n_workers: int, address: str | None = None) -> Iterator[None]:
    """Within the block there is a Ray instance, on loopback only; one that was there before is used.

    address: of a running Ray cluster to join instead (`ray start --head` prints it); the package, and the
    user's own modules, must be importable on all its nodes. Raises InputError when Ray cannot start, or
    there is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    ray_worker.print_to_stdstream = lambda *args, **kwargs: None  # a paragraph on stdout for each dead worker
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p or os.getcwd() for p in sys.path))
    if address is not None:
        _join(address)
        try:
            yield
        finally:
            ray.shutdown()
        return
    _start(n_workers)
    try:
        yield
    finally:
        ray.shutdown()


def _start(n_workers: int) -> None:
    for n_left in reversed(range(START_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=n_workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
            return
        except Exception as error:
            ray.shutdown()
            if n_left and "timed out" in str(error):  # on a busy machine half a minute may not be enough
                continue
            raise InputError(
                f"Ray cannot start: {_one_line(error)}; it needs memory, and room in RAY_TMPDIR (or TMPDIR, "
                "or /tmp); --grid serial does without it"
            ) from error


def _join(address: str) -> None:
    path = os.environ["PYTHONPATH"]
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # Ray itself tries for minutes before it says that nobody is there
            socket.create_connection((host, int(port)), timeout=REACH_WALL_S).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    except Exception as error:
        raise InputError(
            f"--ray-address {address}: no Ray cluster can be joined there: {_one_line(error)}; "
            "`ray start --head` starts one and prints its address"
        ) from error


def cluster_cores() -> int:
    """Cores of all machines of the Ray instance."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
