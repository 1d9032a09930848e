"""Runs on more than one machine."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from clusters import free_port, raylets
from misbehaving import Remembering
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

from .compare import assert_same_results


@pytest.mark.slow
def test_two_nodes_give_the_same_bytes(tmp_path: Path, cluster: int) -> None:
    run(toy(method=Remembering()), tmp_path / "here", grid="serial")
    run(toy(method=Remembering()), tmp_path / "there", grid="ray", ray_address=f"127.0.0.1:{cluster}")
    assert_same_results(tmp_path / "here", tmp_path / "there")


@pytest.mark.slow
def test_a_node_s_gpu_for_each_worker(tmp_path: Path, cluster: int) -> None:
    """The nodes claim a GPU each; more than one is nowhere."""
    address = f"127.0.0.1:{cluster}"
    with pytest.raises(InputError, match="most that Ray counts on one is 1 cores and 1 GPUs"):
        run(toy(), tmp_path / "out", grid="ray", ray_address=address, num_gpus=2)
    run(toy(), tmp_path / "there", grid="ray", ray_address=address, num_gpus=1)
    run(toy(), tmp_path / "here", grid="serial")
    assert_same_results(tmp_path / "here", tmp_path / "there")


@pytest.mark.slow
def test_a_node_that_is_lost_in_the_middle_of_a_round(tmp_path: Path, cluster: int) -> None:
    """Its raylet is killed in round 3, and its worker with it; the other node does the rest alone."""
    changes = {"method": Remembering(), "rounds": 8, "local": {"epochs": 5, "batch_size": 4}}
    head, other = raylets(cluster)
    started: list[threading.Timer] = []

    def kill_soon(row: RoundRow) -> None:
        if row.round == 2:
            started.append(threading.Timer(0.05, other.kill))
            started[0].start()

    address = f"127.0.0.1:{cluster}"
    run(toy(**changes), tmp_path / "there", grid="ray", ray_address=address, callbacks=[kill_soon])
    started[0].join()
    assert head.is_running()
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE
    run(toy(**changes), tmp_path / "here", grid="serial")
    assert_same_results(tmp_path / "here", tmp_path / "there")


@pytest.mark.slow
def test_another_instance_would_be_used_in_its_place(four_cores: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--ray-address 127\.0\.0\.1:1: this process is connected"):
        run(toy(method="fedavg"), tmp_path / "out", grid="ray", ray_address="127.0.0.1:1")


@pytest.mark.slow
def test_no_cluster_there(own_ray: ExitStack, tmp_path: Path) -> None:
    experiment = toy(method={"name": "fedavg"})
    own_ray.close()
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"^--ray-address {address}: no Ray cluster can be joined there"):
        run(experiment, tmp_path / "out", grid="ray", ray_address=address)
