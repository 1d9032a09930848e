"""What Ray sets aside for workers, on machines that Ray only claims to have."""

from __future__ import annotations

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.grids.ray import cluster
from distreal_sim.grids.ray.cluster import gpu_share, n_workers_that_fit, room_for

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
