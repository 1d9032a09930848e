"""The apps under stock Flower's `flwr run .`: the same run as on our own grids, and clear failures."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from toys import WHOLE_TOY

from distreal_sim.config import load_experiment
from distreal_sim.run import run

from .conftest import StockFlower

pytestmark = pytest.mark.slow

FAILING = """
from distreal_sim.methods.fedavg import FedAvg

class FlatBattery(FedAvg):
    def train(self, client, job):
        if job.round.number == 2:
            raise RuntimeError("no battery")
        return super().train(client, job)
"""

COUNTING = """
from dataclasses import replace
import numpy as np
from distreal_sim.methods.fedavg import FedAvg

class Counting(FedAvg):
    def train(self, client, job):
        count = job.memory.get("count", np.zeros(1)) + 1
        update = super().train(client, job)
        facts = replace(update.facts, upload_bytes=int(count[0]) * 1_000_000 + job.client_id)
        return replace(update, facts=facts, memory={"count": count})
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(WHOLE_TOY))
    return path


def test_stock_flower_writes_the_same_bytes(stock_flower: StockFlower, config: Path, tmp_path: Path) -> None:
    """The serial grid is the twin: every random draw is keyed, and updates are merged in client order."""
    run(load_experiment(config)[0], tmp_path / "serial", grid="serial")

    log = stock_flower.run(config=config, out=tmp_path / "stock")

    assert (tmp_path / "stock" / "rounds.csv").exists(), log
    for name in ("rounds.csv", "model.safetensors", "config.yaml"):
        assert (tmp_path / "stock" / name).read_bytes() == (tmp_path / "serial" / name).read_bytes(), name
    stock, serial = (pd.read_parquet(tmp_path / d / "clients.parquet") for d in ("stock", "serial"))
    pd.testing.assert_frame_equal(stock, serial, check_exact=True)


def test_nodes_keep_what_a_client_remembers(
    stock_flower: StockFlower, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client counts its own rounds and reports count x 1,000,000 + client id as its upload.

    So its k-th row must hold k: a context that is lost, shared or swapped changes a row.
    """
    (stock_flower.plugins / "counting_method.py").write_text(COUNTING)
    monkeypatch.setattr(sys, "path", [str(stock_flower.plugins), *sys.path])
    run(
        load_experiment(config, ["method.name=counting_method.Counting"])[0],
        tmp_path / "serial",
        grid="serial",
    )

    log = stock_flower.run(
        config=config, out=tmp_path / "stock", overrides="method.name=counting_method.Counting"
    )

    assert (tmp_path / "stock" / "clients.parquet").exists(), log
    stock, serial = (pd.read_parquet(tmp_path / d / "clients.parquet") for d in ("stock", "serial"))
    pd.testing.assert_frame_equal(stock, serial, check_exact=True)
    count = stock.groupby("client_id").cumcount() + 1
    assert count.max() > 1
    assert (stock["upload_bytes"] == count * 1_000_000 + stock["client_id"]).all()


def test_a_client_that_fails_is_named(stock_flower: StockFlower, config: Path, tmp_path: Path) -> None:
    (stock_flower.plugins / "failing_method.py").write_text(FAILING)

    log = stock_flower.run(
        config=config, out=tmp_path / "stock", overrides="method.name=failing_method.FlatBattery"
    )

    (line,) = (text for text in log.splitlines() if "ClientFailedError:" in text)
    assert "client " in line
    assert "round 2, while training: RuntimeError: no battery" in line


def test_a_wrong_config_path_is_named(stock_flower: StockFlower, tmp_path: Path) -> None:
    log = stock_flower.run(config=tmp_path / "toyy.yaml", out=tmp_path / "stock")

    assert f"InputError: {tmp_path / 'toyy.yaml'}: no such file" in log
    assert not (tmp_path / "stock").exists()


def test_a_federation_of_another_size_is_refused(
    stock_flower: StockFlower, config: Path, tmp_path: Path
) -> None:
    log = stock_flower.run(config=config, out=tmp_path / "stock", n_nodes=2)

    assert "InputError: the federation has 2 nodes and the experiment 12 clients" in log
    assert "num-supernodes=12" in log
    assert not (tmp_path / "stock").exists()
