"""What TensorBoard, MLflow and W&B find in the files of a resumed run, each where it is installed."""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toys import TOY

import distreal_sim as ds
from distreal_sim.base.plugins import load, names
from distreal_sim.results.trackers import Tracker

CONFIG: dict[str, Any] = {**TOY, "method": "fedavg", "rounds": 3, "evaluation": {"every": 2}}

LIBRARY = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}


def resumed(out: Path, tracker: Any) -> pd.DataFrame:
    """The rows of a run of 2 of 3 rounds, which then plays the last of them again, and goes on.

    The second command tests round 2 of 3 and of 4; a round that only the first one tested is none.
    """
    config = {**CONFIG, "trackers": [tracker], "checkpoint_every": 1}
    ds.run(config, out, grid="serial", callbacks=[lambda row: row.round == 2])
    return ds.run(config, out, grid="serial", resume=True).rounds


def expected(rows: pd.DataFrame, column: str) -> list[tuple[int, float]]:
    known = rows[rows[column].notna()]
    return list(zip(known["round"].tolist(), known[column].tolist(), strict=True))


def test_every_bundled_tracker_has_a_test() -> None:
    assert names(Tracker) == sorted(LIBRARY)


@pytest.mark.slow
def test_tensorboard(tmp_path: Path) -> None:
    """Event files hold float32."""
    pytest.importorskip("tensorboard", reason="needs distreal-sim[tensorboard]")
    events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    rows = resumed(tmp_path / "out", "tensorboard")
    read = events.EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    read.Reload()
    for column in ("sim_s", "macs", "test_accuracy", "train_loss"):
        found = [(event.step, event.value) for event in read.Scalars(column)]
        assert [step for step, _ in found] == [step for step, _ in expected(rows, column)], column
        assert [v for _, v in found] == pytest.approx([v for _, v in expected(rows, column)], rel=1e-6)


@pytest.mark.slow
def test_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs distreal-sim[mlflow]")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    rows = resumed(tmp_path / "out", {"name": "mlflow", "uri": uri, "experiment": "mine"})
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "toy-fedavg-7")
    assert (run.data.params["local.lr"], run.data.params["method.name"]) == ("0.1", "fedavg")
    for column in ("sim_s", "macs", "test_accuracy", "train_loss"):
        found = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, column)]
        assert sorted(found) == expected(rows, column)


@pytest.mark.slow
def test_wandb(tmp_path: Path) -> None:
    """Each command leaves a file; both belong to the run of one identity."""
    pytest.importorskip("wandb", reason="needs distreal-sim[wandb]")
    rows = resumed(tmp_path / "out", "wandb")
    found: dict[str, list[tuple[int, float]]] = {}
    files = sorted((tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({file.name for file in files}) == 1
    for file in files:
        for record in records(file):
            if record.WhichOneof("record_type") == "history":
                items = {
                    i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item
                }
                for key, value in items.items():
                    found.setdefault(key, []).append((items["_step"], value))
    for column in ("sim_s", "macs", "test_accuracy", "train_loss"):
        assert found[column] == expected(rows, column)


def records(file: Path) -> Iterator[Any]:
    """The records of W&B's file, which is a log of LevelDB after a header of 7 bytes.

    Blocks of 32 KiB; each piece of a record has a checksum (4 bytes), its length (2) and its kind (1): whole,
    first, middle or last.
    """
    kinds = importlib.import_module("wandb.proto.wandb_internal_pb2")
    content, place, whole = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield kinds.Record.FromString(whole)
            whole = b""


@pytest.mark.parametrize("name", names(Tracker))
def test_a_library_that_is_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, before the first round; no run is begun. `check` says it, too."""
    monkeypatch.setitem(importlib.import_module("sys").modules, LIBRARY[name], None)
    says = rf"tracker {name} needs .*pip install distreal-sim\[{name}\]"
    with pytest.raises(ds.InputError, match=says):
        ds.run({**CONFIG, "trackers": [name]}, tmp_path / "out", grid="serial")
    with pytest.raises(ds.InputError, match=says):
        ds.check({**CONFIG, "trackers": [name]})
    assert not (tmp_path / "out" / "config.yaml").exists()
    assert load(Tracker, name)().name == name
