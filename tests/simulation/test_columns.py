"""A column is declared once: what a method reports of its clients appears in both tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from rounds import play
from toys import toy

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.client.client import Client
from distreal_sim.client.columns import Column
from distreal_sim.client.messages import Facts, Job, Update
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.run import run
from distreal_sim.simulation.rows import COLUMNS, ClientRows, RoundRow, round_columns, schema_of

OWN = (
    Column("norm", "size of the change", "mean"),
    Column("energy_j", "energy used", "sum"),
    Column("level", "level of the round"),
)


class Reporting(FedAvg):
    """Reports 100 + id, half of its id, and nothing else; client 3 reports nothing."""

    columns: ClassVar[tuple[Column, ...]] = OWN

    def train(self, client: Client, job: Job) -> Update:
        update = super().train(client, job)
        return update if client.id == 3 else update.reporting(norm=100.0 + client.id, energy_j=client.id / 2)


class Undeclared(FedAvg):
    """Reports what it has not declared."""

    def train(self, client: Client, job: Job) -> Update:
        return super().train(client, job).reporting(norm=1.0)


class Taken(FedAvg):
    """Declares a column that there is."""

    columns: ClassVar[tuple[Column, ...]] = (Column("macs", "other MACs"),)


ROUND = (
    "round,sim_s,test_accuracy,test_loss,train_loss,n_selected,n_completed,n_partial,n_dropped,macs,"
    "macs_available,download_bytes,upload_bytes,submodel_accuracy,submodel_loss,n_diverged"
)
CLIENT = (
    "round,client_id,status,n_examples,n_steps_planned,n_steps_done,macs,macs_available,sim_s,mean_keep_rate,"
    "download_bytes,upload_bytes,train_loss,download_s,compute_s"
)


def test_the_columns_of_methods_that_declare_none() -> None:
    """Both tables are a contract: names and order."""
    assert ",".join(round_columns()) == ROUND
    assert ",".join(COLUMNS) == CLIENT
    assert all(c.about for c in COLUMNS.values())
    strings = [f.name for f in schema_of(COLUMNS) if str(f.type) == "string"]
    floats = [f.name for f in schema_of(COLUMNS) if str(f.type) == "double"]
    assert strings == ["status"]
    assert floats == ["macs_available", "sim_s", "mean_keep_rate", "train_loss", "download_s", "compute_s"]


def facts(client_id: int, status: Any, n_examples: int, **metrics: float) -> Facts:
    return Facts(client_id, status, n_examples, 1, 1, 5, 1.0, 1.0, 8, 8, 0.5, metrics)


def test_sums_and_means_by_hand() -> None:
    """Means run over the merged clients that have a value, by examples: (10 * 1 + 30 * 3) / 40 = 2.5; the
    dropped one counts in the sum only, 1 + 3 + 7 = 11.
    """
    clients = [
        facts(0, "completed", 10, norm=1.0, energy_j=1.0),
        facts(1, "partial", 30, norm=3.0, energy_j=3.0, level=2.0),
        facts(2, "completed", 50),
        facts(4, "dropped", 70, norm=50.0, energy_j=7.0),
    ]
    rows = ClientRows.of_round(1, clients, [9.0] * 4, OWN)
    row = RoundRow.of(1, 10.0, None, rows, OWN)
    assert row.more == {"norm": 2.5, "energy_j": 11.0}
    assert (row.macs, row.macs_available, row.upload_bytes) == (20, 36.0, 32)
    assert [r.metrics["norm"] for r in (rows[0], rows[1], rows[3])] == [1.0, 3.0, 50.0]
    assert math.isnan(rows[2].metrics["norm"])
    assert rows.table()["level"].to_pylist() == [None, 2.0, None, None]
    assert ClientRows.of(list(rows)).table().equals(rows.table())
    nobody = RoundRow.of(1, 10.0, None, ClientRows.of_round(1, [], [], OWN), OWN)
    assert nobody.more == {"norm": None, "energy_j": None}


def interrupt(row: RoundRow) -> None:
    if row.round == 3:
        raise KeyboardInterrupt


@pytest.mark.parametrize("interrupted", [False, True])
def test_both_tables_have_them(interrupted: bool, tmp_path: Path) -> None:
    """A new column changes nothing in the others; a resumed run has the same."""
    experiment = toy(method=Reporting())
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            run(experiment, tmp_path / "own", grid="serial", callbacks=[interrupt])
    run(experiment, tmp_path / "own", grid="serial", resume=interrupted)
    run(toy(method=FedAvg()), tmp_path / "plain", grid="serial")
    rounds, plain = (pd.read_csv(tmp_path / name / "rounds.csv") for name in ("own", "plain"))
    assert [*rounds] == [*plain, "norm", "energy_j"]
    pd.testing.assert_frame_equal(rounds[[*plain]], plain)
    clients, others = (pd.read_parquet(tmp_path / name / "clients.parquet") for name in ("own", "plain"))
    assert [*clients] == [*others, "norm", "energy_j", "level"]
    pd.testing.assert_frame_equal(clients[[*others]], others)
    silent = clients["client_id"] == 3
    assert silent.any()
    assert clients.loc[silent, "norm"].isna().all()
    assert (clients.loc[~silent, "norm"] == 100 + clients.loc[~silent, "client_id"]).all()
    sums = clients.groupby("round")["energy_j"].sum()
    np.testing.assert_array_equal(rounds["energy_j"], sums)
    counting = clients[clients["status"].isin(["completed", "partial"]) & ~silent]
    means = counting.groupby("round").apply(lambda c: np.average(c["norm"], weights=c["n_examples"]))
    np.testing.assert_allclose(rounds.set_index("round")["norm"].dropna(), means)


def test_metrics_travel_in_messages() -> None:
    played = play(1, method=Reporting())
    assert {r.client_id: r.metrics["energy_j"] for r in played.clients if r.client_id != 3} == {
        r.client_id: r.client_id / 2 for r in played.clients if r.client_id != 3
    }


def test_the_clock_alone_knows_no_metrics(tmp_path: Path) -> None:
    """It does not ask a `train` of the method's own, whose columns stay empty where levels decide."""

    class Declaring(FedAvg):
        columns: ClassVar[tuple[Column, ...]] = OWN

    run(toy(method=Declaring()), tmp_path, training=False)
    clients = pd.read_parquet(tmp_path / "clients.parquet")
    assert [*clients] == [*CLIENT.split(","), "norm", "energy_j", "level"]
    assert clients[["norm", "energy_j", "level"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("method", "error", "wanted"),
    [
        (
            Undeclared,
            RunError,
            r"reports the metric 'norm', which is not .* \(none\); add Column\('norm'",
        ),
        (Taken, InputError, "declares a column 'macs', a name that the tables have already"),
    ],
)
def test_mistakes(method: Callable[[], FedAvg], error: type[Exception], wanted: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=wanted):
        run(toy(method=method()), tmp_path, grid="serial")


def test_facts_may_be_changed_one_by_one() -> None:
    """Further metrics join those that are there."""
    one = Update(facts(0, "completed", 1, norm=1.0), {}, None)  # type: ignore[arg-type]
    assert one.reporting(level=2.0, norm=3.0).metrics == {"norm": 3.0, "level": 2.0}
    assert one.metrics == {"norm": 1.0}
    assert replace(one.facts, macs=7).metrics == {"norm": 1.0}
