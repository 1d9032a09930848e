"""The Ray instance: our own on this machine, or a running cluster."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import ray
from ray import _raylet as compiled
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker
from ray.job_config import JobConfig

from distreal_sim.base.errors import InputError
from distreal_sim.base.process import available_bytes, memory_limit_bytes

_raylet: Any = compiled

REACH_WALL_S = 10.0
"""Timeout for a connection to a Ray cluster's address."""

START_TRIES = 3
"""Number of attempts to start Ray if it runs into its own timeout."""

STORE_SHARE, LEAST_STORE_BYTES = 0.3, 80 * 2**20
"""Share of the available memory that Ray takes for its object store, and the smallest accepted size."""

WORKER_NICENESS = "0"
"""What Ray adds to the niceness of its workers, unless the user's environment says otherwise. Ray's own 15
leaves them a few percent of a core that another process keeps busy."""

LEAST_TEMPORARY_BYTES = 20 * 2**20
"""Free space for temporary files that Ray needs to start; its logs take a few megabytes."""


def room_for(num_cpus: int, num_gpus: float = 0.0, memory_bytes: int = 0) -> int:
    """Number of workers that fit on the machines of the Ray instance; the arguments are needs per worker."""
    wanted = {"CPU": num_cpus, "GPU": num_gpus, "memory": memory_bytes}
    return sum(
        min(int(machine.get(kind, 0.0) / n) for kind, n in wanted.items() if n) for machine in _machines()
    )


def n_workers_that_fit(num_cpus: int, num_gpus: float | None) -> int:
    """Number of a run's workers that fit (`room_for`). Raises InputError if no machine has room for one."""
    fitting = room_for(num_cpus, num_gpus or 0.0)
    if not fitting:
        most = {kind: max((m.get(kind, 0.0) for m in _machines()), default=0.0) for kind in ("CPU", "GPU")}
        raise InputError(
            f"--num-cpus {num_cpus} --num-gpus {num_gpus or 0.0:g}: no machine has enough for one worker; "
            f"the most that Ray counts on one is {most['CPU']:g} cores and {most['GPU']:g} GPUs"
        )
    return fitting


def _machines() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def gpu_share(n_workers: int, device: str) -> float:
    """Share of a GPU for each of n_workers: equal shares of the Ray instance's GPUs; 0 unless on `cuda`."""
    n_gpus = int(ray.cluster_resources().get("GPU", 0.0)) if device == "cuda" else 0
    return 1 / math.ceil(n_workers / n_gpus) if n_gpus else 0.0


@contextlib.contextmanager
def ray_instance(n_cores: int, address: str | None = None) -> Iterator[None]:
    """Within the block there is a Ray instance, on loopback only; an existing instance is used.

    n_cores: number of cores that Ray may use. address: address of a running Ray cluster to join instead
    (`ray start --head` prints it); the package and the user's own modules must be importable on all its
    nodes. Raises InputError if Ray cannot start, there is no cluster, or this process is in another one.
    """
    if ray.is_initialized():
        if address is not None:
            raise InputError(
                f"--ray-address {address}: this process is connected to a Ray instance already; leave "
                "ray_address out to use that one, or call ray.shutdown() first"
            )
        yield
        return
    ray_worker.print_to_stdstream = lambda *args, **kwargs: (
        None
    )  # Ray prints a paragraph on stdout for each dead worker
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p or os.getcwd() for p in sys.path))
    try:
        with sigterm_waits():
            if address is not None:
                _join(address)
            else:
                _start(n_cores)
        yield
    finally:
        ray.shutdown()


class _Job(JobConfig):  # type: ignore[misc]
    """Ray's config of a job, without folders that Ray puts first on its workers' path.

    Ray would put the working directory there, where a user's file may hide a library. The folders that
    workers need are on PYTHONPATH, in our order.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, paths: list[str]) -> None:
        """Ignores the folders that Ray wants to add."""


@contextlib.contextmanager
def sigterm_waits() -> Iterator[None]:
    """Delays SIGTERM while the block starts Ray; the handler from before the block handles it afterwards.

    Ray installs two handlers of its own: one exits without cleaning up, the other prints a C++ stack and
    aborts. Processes of a half-started Ray would outlive this process.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)

    def connected(*args: Any, **kwargs: Any) -> Any:
        core_worker = make_core_worker(*args, **kwargs)
        signal.signal(signal.SIGTERM, wait)  # replaces Ray's handler in C++
        return core_worker

    make_core_worker, set_handler = _raylet.CoreWorker, ray_utils.set_sigterm_handler
    _raylet.CoreWorker, ray_utils.set_sigterm_handler = connected, lambda handler: None
    signal.signal(signal.SIGTERM, wait)
    try:
        yield
    finally:
        _raylet.CoreWorker, ray_utils.set_sigterm_handler = make_core_worker, set_handler
        signal.signal(signal.SIGTERM, before)
        if came:
            signal.raise_signal(signal.SIGTERM)


def _memory() -> dict[str, int]:
    """Ray's memory options where this process may use less than the machine has, which Ray may not detect."""
    if memory_limit_bytes() is None:
        return {}
    free_bytes = available_bytes()
    store_bytes = max(LEAST_STORE_BYTES, int(STORE_SHARE * free_bytes))
    return {"object_store_memory": store_bytes, "_memory": max(0, free_bytes - store_bytes)}


def _start(n_cores: int) -> None:
    os.environ.setdefault("RAY_worker_niceness", WORKER_NICENESS)
    folder = _temporary_folder()
    if _full(folder):
        raise InputError(_cannot_start("", folder))
    for n_left in reversed(range(START_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=n_cores,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                job_config=_Job(),
                **_memory(),
            )
            return
        except Exception as error:
            ray.shutdown()
            if n_left and "timed out" in str(error):  # on a busy machine half a minute may not be enough
                continue
            raise InputError(_cannot_start(_one_line(error), folder)) from error


def _temporary_folder() -> str:
    """The folder in which Ray makes its own folder for sockets and logs."""
    return os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"


def _full(folder: str) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_TEMPORARY_BYTES
    except OSError:  # Ray creates the folder, or reports why it cannot
        return False


def _cannot_start(error: str, folder: str) -> str:
    """The error message when Ray cannot start: the cause, as far as it is known, and a remedy."""
    named = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    where = f"its folder for temporary files, {folder}"
    where += f" ({named})," if os.environ.get(named) else ","
    if "AF_UNIX path length" in error:
        cause = f"{where} is too long for the path of a socket; set RAY_TMPDIR to a short one, such as /tmp"
    elif not folder.isascii():
        cause = f"{where} is not plain ASCII; set RAY_TMPDIR to an ASCII path, such as /tmp"
    elif _full(folder):
        cause = f"{where} is on a full disk; make room there, or set RAY_TMPDIR to another folder"
    else:
        cause = f"{error}; it needs memory, and room in RAY_TMPDIR (or TMPDIR, or /tmp)"
    return f"Ray cannot start: {cause}; --grid serial does not need it"


def _join(address: str) -> None:
    path = os.environ["PYTHONPATH"]
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # Ray itself tries for minutes before it reports that there is no cluster
            socket.create_connection((host, int(port)), timeout=REACH_WALL_S).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            job_config=_Job(),
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    except Exception as error:
        raise InputError(
            f"--ray-address {address}: no Ray cluster can be joined there: {_one_line(error)}; "
            "`ray start --head` starts one and prints its address"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
