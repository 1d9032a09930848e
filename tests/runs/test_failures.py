"""Clients that die, raise or remember, on both grids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from misbehaving import (
    Diverging,
    Hanging,
    Hasty,
    Homebound,
    Killing,
    Misbehaving,
    Quitting,
    Raising,
    Remembering,
    Starving,
    Writing,
)
from toys import toy

from distreal_sim.base.errors import ClientFailedError
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.grids.choose import GridName, choose
from distreal_sim.grids.flower.messages import decode_memory
from distreal_sim.grids.ray.team import WorkersDiedError
from distreal_sim.run import open_fleet, run
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.rounds import Simulation, play_round, start
from distreal_sim.simulation.rows import RoundRow

from .compare import assert_same_results

pytestmark = pytest.mark.usefixtures("four_cores")


class NoRecord:
    """Keeps nothing."""

    def write(self, *args: object) -> None: ...

    def commit(self, *args: object) -> None: ...


def memories(experiment: Experiment, grid: GridName, n_rounds: int) -> dict[int, dict[str, np.ndarray]]:
    """What every client remembers after some rounds."""
    task = build(experiment)
    choice = choose(grid, experiment, task, 2)
    with open_fleet(choice, task, experiment) as fleet:
        progress = start(experiment, task)
        for _ in range(n_rounds):
            progress, _ = play_round(Simulation(experiment, task, fleet, NoRecord()), progress)
        return {c: dict(decode_memory(data)) for c, data in fleet.contexts().items()}


@pytest.mark.parametrize("grid", ["serial", pytest.param("ray", marks=pytest.mark.slow)])
def test_clients_remember(grid: GridName) -> None:
    """count = rounds in which the client was selected; vector = the sum of their numbers, three times."""
    experiment = toy(method=Remembering())
    task = build(experiment)
    rounds: dict[int, list[int]] = {}
    for round_number in (1, 2, 3, 4):
        for client_id in select_cohort(experiment, task, round_number)[0]:
            rounds.setdefault(client_id, []).append(round_number)
    kept = memories(experiment, grid, 4)
    assert max(len(numbers) for numbers in rounds.values()) > 2
    assert {c: int(m["count"]) for c, m in kept.items()} == {c: len(numbers) for c, numbers in rounds.items()}
    assert {c: m["vector"].tolist() for c, m in kept.items()} == {
        c: [float(sum(numbers))] * 3 for c, numbers in rounds.items()
    }


def test_memory_does_not_travel(tmp_path: Path) -> None:
    """Byte for byte the traffic of FedAvg, whose clients keep nothing."""
    traffic = []
    for name, method in (("fedavg", "fedavg"), ("remembering", Remembering())):
        run(toy(method=method), tmp_path / name, grid="serial")
        rounds = pd.read_csv(tmp_path / name / "rounds.csv")
        traffic.append(rounds[["download_bytes", "upload_bytes"]].to_numpy().tolist())
    assert traffic[0] == traffic[1]


@pytest.mark.parametrize("dying", [Killing, pytest.param(Quitting, marks=pytest.mark.slow)])
def test_a_redone_job_starts_from_the_same_state(dying: type[Misbehaving], tmp_path: Path) -> None:
    """A worker dies once, after its client's work of round 3: the work is done again, and counts once.

    The run without a death is the same run whose marker is there from the start.
    """
    marker, there = tmp_path / "marker", tmp_path / "there"
    there.touch()
    run(toy(method=dying(at_round=3, marker=there)), tmp_path / "calm", grid="serial")
    run(toy(method=dying(at_round=3, marker=marker)), tmp_path / "dead", grid="ray", n_workers=2)
    assert marker.read_text().startswith("client ")
    (tmp_path / "dead" / "config.yaml").write_bytes((tmp_path / "calm" / "config.yaml").read_bytes())
    assert_same_results(tmp_path / "calm", tmp_path / "dead")


@pytest.mark.slow
def test_a_hung_client_is_redone(tmp_path: Path) -> None:
    """A client that never answers is taken away from its worker; the second try counts, once."""
    marker, there = tmp_path / "marker", tmp_path / "there"
    there.touch()
    run(toy(method=Hanging(at_round=3, marker=there)), tmp_path / "calm", grid="serial")
    hung = toy(method=Hanging(at_round=3, marker=marker), job_timeout_wall_s=10.0)
    run(hung, tmp_path / "hung", grid="ray", n_workers=2)
    assert marker.read_text().startswith("client ")
    (tmp_path / "hung" / "config.yaml").write_bytes((tmp_path / "calm" / "config.yaml").read_bytes())
    assert_same_results(tmp_path / "calm", tmp_path / "hung")


@pytest.mark.slow
def test_a_worker_without_memory_is_replaced(tmp_path: Path) -> None:
    """A client meets a limit of its process's memory, once; the second try counts."""
    marker, there = tmp_path / "marker", tmp_path / "there"
    there.touch()
    run(toy(method=Starving(at_round=3, marker=there)), tmp_path / "calm", grid="serial")
    run(toy(method=Starving(at_round=3, marker=marker)), tmp_path / "poor", grid="ray", n_workers=2)
    assert marker.read_text().startswith("client ")
    (tmp_path / "poor" / "config.yaml").write_bytes((tmp_path / "calm" / "config.yaml").read_bytes())
    assert_same_results(tmp_path / "calm", tmp_path / "poor")


@pytest.mark.slow
def test_a_client_that_always_hangs_ends_the_run(tmp_path: Path) -> None:
    """Three tries of 15 seconds each, then the message says which client and which limit."""
    experiment = toy(method=Hanging(at_round=2), job_timeout_wall_s=15.0)
    with pytest.raises(WorkersDiedError, match=r"^client \d+, round 2: .*3 times.*_wall_s is 15"):
        run(experiment, tmp_path, grid="ray", n_workers=2)


@pytest.mark.slow
def test_a_run_may_change_its_grid(tmp_path: Path) -> None:
    """Interrupted with two workers after round 3, it goes on in one process from the checkpoint."""

    def interrupt(row: RoundRow) -> None:
        if row.round == 3:
            raise KeyboardInterrupt

    experiment = toy(method=Remembering())
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", grid="ray", n_workers=2, callbacks=[interrupt])
    run(experiment, tmp_path / "out", grid="serial", resume=True)
    run(experiment, tmp_path / "whole", grid="serial")
    assert_same_results(tmp_path / "out", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("dying", [Killing, Quitting])
def test_a_client_that_always_kills_its_worker_ends_the_run(
    dying: type[Misbehaving], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkersDiedError, match=r"^client \d+, round 2: its worker died 3 times") as caught:
        run(toy(method=dying(at_round=2)), tmp_path, grid="ray", n_workers=2)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == "", "Ray reports dead workers on stdout, which is for results"
    run_rows = (tmp_path / "rounds.csv").read_text().splitlines()
    assert len(run_rows) == 2, "header and round 1"


@pytest.mark.slow
def test_who_waits_behind_a_client_that_kills_is_not_blamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of eight clients kills the only worker, to which the next one's job has gone ahead.

    Somebody else may be named once in the log, whose answer was still in the worker when it died.
    """
    changes = {"clients_per_round": 8, "profile": {"name": "constant", "level": 1.0}}
    cohort = select_cohort(toy(**changes), build(toy(**changes)), 2)[0]
    guilty = cohort[4]
    with pytest.raises(WorkersDiedError, match=rf"^client {guilty}, round 2: its worker died 3 times"):
        run(toy(method=Killing(at_round=2, only=guilty), **changes), tmp_path, grid="ray", n_workers=1)
    redone = [record.getMessage() for record in caplog.records if "done again" in record.getMessage()]
    assert redone.count(f"client {guilty}, round 2: its worker died; the job is done again") == 2
    assert len(redone) <= 3


@pytest.mark.parametrize("grid", ["serial", pytest.param("ray", marks=pytest.mark.slow)])
def test_updates_that_a_merge_does_not_ask_for_are_in_the_tables(grid: GridName, tmp_path: Path) -> None:
    run(toy(method=Hasty(), overrun="wait"), tmp_path, grid=grid, n_workers=2)
    rounds = pd.read_csv(tmp_path / "rounds.csv")
    assert rounds["n_completed"].tolist() == [5] * 4


@pytest.mark.slow
def test_a_test_batch_that_kills_its_worker_blames_no_client(tmp_path: Path) -> None:
    """A shard of the test set is sent to the node of a client that has no part in it."""
    dying = toy(
        model={"name": "misbehaving.Mortal", "spared": os.getpid()}, method="fedavg", evaluation={"every": 2}
    )
    with pytest.raises(WorkersDiedError, match=r"^round 2, while evaluating: its worker died 3 times"):
        run(dying, tmp_path, grid="ray", n_workers=2)


@pytest.mark.slow
def test_a_worker_that_cannot_be_set_up_ends_the_run(tmp_path: Path) -> None:
    """A method that exists only where it was written: it cannot be unpickled in another process."""
    with pytest.raises(WorkersDiedError) as caught:
        run(toy(method=Homebound()), tmp_path, grid="ray", n_workers=1)
    assert str(caught.value) == "a worker cannot be set up: RuntimeError: there is no place like home"


@pytest.mark.parametrize("grid", ["serial", pytest.param("ray", marks=pytest.mark.slow)])
def test_an_exception_on_a_client_names_client_round_and_stage(grid: GridName, tmp_path: Path) -> None:
    with pytest.raises(ClientFailedError) as caught:
        run(toy(method=Raising(at_round=2)), tmp_path, grid=grid, n_workers=2)
    cohort = select_cohort(toy(), build(toy()), 2)[0]
    assert str(caught.value) in [
        f"client {c}, round 2, while training: ValueError: the sensor is on fire" for c in cohort
    ]
    assert 'raise ValueError("the sensor is on fire")' in caught.value.details


@pytest.mark.slow
def test_workers_share_one_data_set() -> None:
    """In this process the data set is an ordinary array; a worker sees Ray's read-only shared memory.

    The model that a client is sent is read-only everywhere: others are sent the same one.
    """
    for grid, writeable in (("serial", [True, False]), ("ray", [False, False])):
        for kept in memories(toy(method=Writing()), grid, 1).values():
            assert kept["writeable"].tolist() == writeable


def test_a_client_that_diverges_ends_the_run(tmp_path: Path) -> None:
    """By default; the message says who, when, and what can be done."""
    with pytest.raises(ClientFailedError, match=r"^client \d*[13579], round 2.*local.nonfinite: exclude"):
        run(toy(method=Diverging(at_round=2), overrun="wait"), tmp_path, grid="serial")


def test_a_client_that_diverges_is_left_out(tmp_path: Path) -> None:
    """In round 2 the clients with even numbers alone are merged: as if the others had been too slow.

    They did their work and sent its result, which is counted.
    """
    local = {"epochs": 1, "batch_size": 4, "nonfinite": "exclude"}
    experiment = toy(method=Diverging(at_round=2), overrun="wait", local=local)
    run(experiment, tmp_path, grid="serial")
    rounds = pd.read_csv(tmp_path / "rounds.csv")
    clients = pd.read_parquet(tmp_path / "clients.parquet")
    out = clients[clients["status"] == "diverged"]
    assert set(out["round"]) == {2}
    assert set(out["client_id"]) == {c for c in clients[clients["round"] == 2]["client_id"] if c % 2}
    assert (out["upload_bytes"] > 0).all()
    assert (out["macs"] > 0).all()
    assert out["train_loss"].isna().all()
    assert rounds["n_diverged"].tolist() == [0, len(out)] + [0] * (len(rounds) - 2)
    assert np.isfinite(rounds["test_loss"].dropna()).all()
    in_round_2 = rounds.iloc[1]
    assert in_round_2["n_completed"] == in_round_2["n_selected"] - len(out)
