"""The clock alone, and the checks of the bookkeeping."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rounds import play
from toys import toy
from variants import SOME, by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.methods import Method
from distreal_sim.run import run
from distreal_sim.simulation.rounds import Progress, Simulation
from distreal_sim.simulation.rows import ClientRow, RoundRow, Timing
from distreal_sim.simulation.verify import InvariantError, Verifying

LEARNT = ["test_accuracy", "test_loss", "train_loss", "submodel_accuracy", "submodel_loss"]

STRONG = {"name": "constant", "level": 3.0}

LINK = {"name": "constant", "download_bytes_per_s": 50_000, "upload_bytes_per_s": 20_000}


@pytest.mark.parametrize("method", by_default(names(Method), SOME))
def test_times_and_costs_are_those_of_the_run_with_training(tmp_path: Path, method: str) -> None:
    """Every column but the learnt ones, with transfers that take time; both runs pass the checks."""
    experiment = toy(method=method, link=LINK, rounds=3)
    run(experiment, tmp_path / "trained", grid="serial", verify=True)
    run(experiment, tmp_path / "timed", training=False, verify=True)
    trained, timed = (pd.read_csv(tmp_path / name / "rounds.csv") for name in ("trained", "timed"))
    pd.testing.assert_frame_equal(trained.drop(columns=LEARNT), timed.drop(columns=LEARNT), check_exact=True)
    assert timed[LEARNT].isna().all(axis=None)
    rows = [pd.read_parquet(tmp_path / name / "clients.parquet") for name in ("trained", "timed")]
    pd.testing.assert_frame_equal(*(r.drop(columns="train_loss") for r in rows), check_exact=True)


def test_rounds_on_schedule_end_at_multiples_of_the_deadline() -> None:
    """Summed up, six times 0.1 would be 0.6, not 6 * 0.1 = 0.6000000000000001."""
    ends = [row.sim_s for row in play(6, deadline_s=0.1, evaluation={"every": 6}).rounds]
    assert ends == [n * 0.1 for n in range(1, 7)]
    assert ends[-1] != 0.6


def test_the_loss_of_partial_work_counts() -> None:
    """With time for some batches nobody has done all: the mean of the losses, by the clients' examples."""
    local, slow = {"epochs": 1, "batch_size": 4, "lr": 0.1}, {"name": "constant", "level": 0.3}
    own = play(1, method="fedavg", profile=slow, local=local)
    assert {row.status for row in own.clients} == {"partial"}
    weights = [row.n_examples for row in own.clients]
    assert len(set(weights)) > 1
    expected = sum(n * row.train_loss for n, row in zip(weights, own.clients, strict=True)) / sum(weights)
    assert own.rounds[0].train_loss == pytest.approx(expected, rel=1e-12)


def test_a_run_without_training_is_never_taken_for_another(tmp_path: Path) -> None:
    experiment, out = toy(method="fedavg", rounds=2), tmp_path / "out"
    run(experiment, out, training=False)
    assert not (out / "model.safetensors").exists()
    with pytest.raises(InputError, match="holds a run without training"):
        run(experiment, out, grid="serial", resume=True)
    with pytest.raises(InputError, match="--no-training cannot be resumed"):
        run(experiment, out, training=False, resume=True)


class Seen:
    """Keeps the last round, and the time before it."""

    def __init__(self) -> None:
        self.rounds: list[tuple[RoundRow, list[ClientRow], Timing]] = []

    def write(self, row: RoundRow, rows: list[ClientRow], timing: Timing) -> None:
        self.rounds.append((row, rows, timing))

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None: ...


PARTIAL = {"method": "fedavg", "profile": {"name": "constant", "level": 0.5}}


@pytest.mark.parametrize(
    ("status", "column", "factor", "message"),
    [
        ("completed", "macs", 0.99, "integral of its capacity"),
        ("partial", "macs", 0.99, "integral of its capacity"),
        ("completed", "macs", 1e6, "at most what was offered"),
        ("completed", "sim_s", 0.5, "at most what was offered"),
        ("completed", "sim_s", 10, "done by the deadline"),
        ("partial", "sim_s", 1.01, "done by the deadline"),
        ("completed", "n_steps_done", 0, "completed with these steps"),
        ("partial", "n_steps_done", 0, "partial with these steps"),
    ],
)
def test_a_wrong_client_row_is_found(status: str, column: str, factor: float, message: str) -> None:
    """One number of one client is multiplied; the sums are made right again."""
    experiment = toy(**(PARTIAL if status == "partial" else {"method": "fedavg", "profile": STRONG}))
    task = build(experiment)
    row, rows, timing = first_round(experiment)
    index = next(i for i, r in enumerate(rows) if r.status == status)
    value = getattr(rows[index], column)
    wrong = dataclasses.replace(rows[index], **{column: type(value)(value * factor)})
    changed = [*rows[:index], wrong, *rows[index + 1 :]]
    summed = dataclasses.replace(row, macs=sum(r.macs for r in changed))
    Verifying(Seen(), experiment, task, 0.0).write(row, rows, timing)
    with pytest.raises(InvariantError, match=rf"round 1: .*client {wrong.client_id}: .*{message}"):
        Verifying(Seen(), experiment, task, 0.0).write(summed, changed, timing)


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({}, 2.0),
        ({}, 0.99),
        ({"round_end": "early"}, 1.01),
        ({"method": "fedavg", "overrun": "wait"}, 1.01),
    ],
)
def test_a_round_that_lasts_too_long_or_not_long_enough_is_found(
    changes: dict[str, Any], factor: float
) -> None:
    experiment = toy(**{"method": "fedavg", "profile": STRONG, **changes})
    task = build(experiment)
    row, rows, timing = first_round(experiment)
    Verifying(Seen(), experiment, task, 0.0).write(row, rows, timing)
    wrong = dataclasses.replace(row, sim_s=row.sim_s * factor)
    with pytest.raises(InvariantError, match="the round lasts as long as it should"):
        Verifying(Seen(), experiment, task, 0.0).write(wrong, rows, timing)


@pytest.mark.parametrize("column", ["macs", "download_bytes", "upload_bytes", "n_completed", "n_selected"])
def test_a_wrong_sum_is_found(column: str) -> None:
    experiment = toy(method="fedavg", profile=STRONG)
    task = build(experiment)
    row, rows, timing = first_round(experiment)
    wrong = dataclasses.replace(row, **{column: getattr(row, column) * 2})
    with pytest.raises(InvariantError, match=column):
        Verifying(Seen(), experiment, task, 0.0).write(wrong, rows, timing)
    with pytest.raises(InvariantError, match="sim_s grows"):
        Verifying(Seen(), experiment, task, row.sim_s + 1).write(row, rows, timing)


def first_round(experiment: Experiment) -> tuple[RoundRow, list[ClientRow], Timing]:
    """The first round, timed."""
    from distreal_sim.simulation.clock.rounds import TimedFleet
    from distreal_sim.simulation.rounds import play_round, start

    task = dataclasses.replace(build(experiment), computes=False)
    seen = Seen()
    play_round(
        Simulation(experiment, task, TimedFleet(task, experiment.method), seen), start(experiment, task)
    )
    return seen.rounds[0]
