"""What Ray is told, what it sets aside for workers, and how it starts, on machines that it claims to have."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.grids.ray import cluster
from distreal_sim.grids.ray.cluster import (
    gpu_share,
    n_workers_that_fit,
    ray_instance,
    room_for,
    sigterm_waits,
)
from distreal_sim.grids.ray.worker import Worker

SMALL, LARGE = {"CPU": 3.0, "memory": 14.0}, {"CPU": 8.0, "GPU": 4.0, "memory": 20.0}


@pytest.fixture(autouse=True)
def two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": alive, "Resources": r} for alive, r in ((True, SMALL), (True, LARGE), (False, LARGE))]
    monkeypatch.setattr(cluster.ray, "nodes", lambda: nodes)
    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: {"CPU": 11.0, "GPU": 4.0})


@pytest.mark.parametrize(
    ("num_cpus", "num_gpus", "fitting"),
    [(1, None, 11), (2, None, 1 + 4), (4, None, 2), (1, 1.0, 4), (1, 0.5, 8), (1, 0.25, 8), (5, 0.5, 1)],
)
def test_workers_that_fit(num_cpus: int, num_gpus: float | None, fitting: int) -> None:
    """A worker is on one machine, and a machine that is gone has no room."""
    assert n_workers_that_fit(num_cpus, num_gpus) == fitting


@pytest.mark.parametrize(
    ("memory_bytes", "room"), [(0, 11), (1, 3 + 8), (3, 3 + 6), (6, 2 + 3), (15, 1), (21, 0)]
)
def test_room_for_memory(memory_bytes: int, room: int) -> None:
    assert room_for(1, memory_bytes=memory_bytes) == room


@pytest.mark.parametrize(("num_cpus", "num_gpus"), [(9, None), (1, 5.0)])
def test_nowhere(num_cpus: int, num_gpus: float | None) -> None:
    with pytest.raises(InputError, match="the most that Ray counts on one is 8 cores and 4 GPUs"):
        n_workers_that_fit(num_cpus, num_gpus)


@pytest.mark.parametrize(("n_workers", "share"), [(1, 1.0), (4, 1.0), (5, 0.5), (8, 0.5), (9, 1 / 3)])
def test_equal_shares_of_gpus(n_workers: int, share: float) -> None:
    """Whole workers share a GPU: 5 workers on 4 GPUs get half of one each, not 0.8, of which only 4 fit."""
    assert gpu_share(n_workers, "cuda") == share
    assert gpu_share(n_workers, "cpu") == 0


def test_workers_look_where_the_driver_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same order, the user's folder last; Ray itself puts no folder of the driver's before that."""
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    monkeypatch.setattr(cluster.ray_worker, "print_to_stdstream", None)
    monkeypatch.setattr(cluster, "_start", lambda n_cores: None)
    monkeypatch.setattr(sys, "path", ["/lib", "/site-packages", "/lib", "/here"])
    monkeypatch.setenv("PYTHONPATH", "/here")
    with ray_instance(1):
        assert os.environ["PYTHONPATH"] == "/lib:/site-packages:/here"
    job = cluster._Job()
    job._py_driver_sys_path.extend(["/here"])  # as ray.init does
    assert list(job._get_proto_job_config().py_driver_sys_path) == []


@pytest.mark.parametrize(
    ("folder", "error", "cause"),
    [
        (
            "/tmp/" + "x" * 90,
            "OSError: AF_UNIX path length cannot exceed 107 bytes",
            "is too long for the path",
        ),
        ("/tmp/ü", "UnicodeEncodeError: 'ascii' codec can't encode character", "is not plain ASCII"),
    ],
)
@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_folder_that_ray_cannot_use(
    variable: str, folder: str, error: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause comes first, with the variable that names the folder, and what to set."""

    def init(**options: object) -> None:
        raise RuntimeError(error)

    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, folder)
    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    with pytest.raises(InputError) as caught:
        cluster._start(1)
    told = str(caught.value)
    begin = f"Ray cannot start: its folder for temporary files, {folder} ({variable}), {cause}"
    assert told.startswith(begin)
    assert "set RAY_TMPDIR to " in told
    assert "/tmp; --grid serial" in told


def test_sigterm_waits_until_ray_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both handlers that Ray installs on the way are replaced at once; then what was there before answers."""
    asked: list[str] = []

    def install(who: str) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: asked.append(who))

    monkeypatch.setattr(cluster._raylet, "CoreWorker", lambda: install("C++"))
    monkeypatch.setattr(cluster.ray_utils, "set_sigterm_handler", lambda handler: install("Python"))
    before = signal.getsignal(signal.SIGTERM)
    install("command")
    try:
        with sigterm_waits():
            signal.raise_signal(signal.SIGTERM)
            cluster.ray_utils.set_sigterm_handler(None)
            signal.raise_signal(signal.SIGTERM)
            cluster._raylet.CoreWorker()
            signal.raise_signal(signal.SIGTERM)
            assert asked == []
        assert asked == ["command"]
        signal.raise_signal(signal.SIGTERM)
        assert asked == ["command", "command"]
        cluster.ray_utils.set_sigterm_handler(None)
        signal.raise_signal(signal.SIGTERM)
        assert asked[2:] == ["Python"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_with_other_sources_is_of_no_use() -> None:
    def check() -> None:
        raise InputError("mine.py was changed")

    worker = Worker.__new__(Worker)
    worker.check = check
    assert worker.started() == "mine.py was changed"
    worker.check = lambda: None
    assert worker.started() is None


def test_a_worker_ends_where_its_machine_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot fetch is not blamed on a client: a dead worker's job is done again."""
    codes: list[int] = []

    def lost(ref: object) -> None:
        raise OSError("Broken pipe")

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr(cluster.ray, "get", lost)
    monkeypatch.setattr(os, "_exit", leave)
    worker = Worker.__new__(Worker)
    worker.records = {}
    with pytest.raises(SystemExit):
        worker._record("ref")
    assert codes == [1]


@pytest.mark.usefixtures("four_cores")
def test_workers_are_as_urgent_as_the_driver() -> None:
    """Or they stand still where another process keeps the cores busy."""
    niceness = cluster.ray.remote(lambda: os.nice(0))
    assert cluster.ray.get(niceness.remote()) == os.nice(0)
