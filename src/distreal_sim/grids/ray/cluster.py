"""The Ray instance: one of our own on this machine, or a cluster that is running already."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
from collections.abc import Iterator

import ray
from ray._private import worker as ray_worker

from distreal_sim.base.errors import InputError

REACH_WALL_S = 10.0
"""How long a Ray cluster's address is tried."""

START_TRIES = 3
"""How often Ray is started when it takes too long for its own patience."""


def room_for(num_cpus: int, num_gpus: float = 0.0, memory_bytes: int = 0) -> int:
    """Workers that the machines of the Ray instance have room for, if each takes so much of one of them."""
    wanted = {"CPU": num_cpus, "GPU": num_gpus, "memory": memory_bytes}
    return sum(
        min(int(machine.get(kind, 0.0) / n) for kind, n in wanted.items() if n) for machine in _machines()
    )


def n_workers_that_fit(num_cpus: int, num_gpus: float | None) -> int:
    """`room_for` workers of a run. Raises InputError where no machine has room for even one."""
    fitting = room_for(num_cpus, num_gpus or 0.0)
    if not fitting:
        most = {kind: max((m.get(kind, 0.0) for m in _machines()), default=0.0) for kind in ("CPU", "GPU")}
        raise InputError(
            f"--num-cpus {num_cpus} --num-gpus {num_gpus or 0.0:g}: no machine has that much for a worker; "
            f"the most that Ray counts on one is {most['CPU']:g} cores and {most['GPU']:g} GPUs"
        )
    return fitting


def _machines() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def gpu_share(n_workers: int, device: str) -> float:
    """What each of n_workers gets of the Ray instance's GPUs: equal shares of one, none unless on `cuda`."""
    n_gpus = int(ray.cluster_resources().get("GPU", 0.0)) if device == "cuda" else 0
    return 1 / math.ceil(n_workers / n_gpus) if n_gpus else 0.0


@contextlib.contextmanager
def ray_instance(n_cores: int, address: str | None = None) -> Iterator[None]:
    """Within the block there is a Ray instance, on loopback only; one that was there before is used.

    n_cores: what Ray is told that there are. address: of a running Ray cluster to join instead
    (`ray start --head` prints it); the package, and the user's own modules, must be importable on all its
    nodes. Raises InputError when Ray cannot start, or there is no cluster.
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
    _start(n_cores)
    try:
        yield
    finally:
        ray.shutdown()


def _start(n_cores: int) -> None:
    for n_left in reversed(range(START_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=n_cores,
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


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
