"""The files of a run are a contract: other tools read them."""

from __future__ import annotations

import csv
import json
import math
from importlib import metadata
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow

ROUNDS = (
    "round,sim_s,test_accuracy,test_loss,train_loss,n_selected,n_completed,n_partial,n_dropped,macs,"
    "macs_available,download_bytes,upload_bytes,submodel_accuracy,submodel_loss,n_diverged"
)
CLIENTS = (
    "round,client_id,status,n_examples,n_steps_planned,n_steps_done,macs,macs_available,sim_s,mean_keep_rate,"
    "download_bytes,upload_bytes,train_loss,download_s,compute_s"
)


def mixed() -> Experiment:
    """Rounds 3 and 5 are evaluated (5 because it is the last); many slow clients are dropped."""
    rounds = {"rounds": 5, "evaluation": {"every": 3}, "checkpoint_every": 2}
    return toy(method={"name": "fedavg"}, overrun="drop", **rounds)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "new" / "run"
    run(mixed(), out, grid="serial")
    return out


def stop_after(out: Path, experiment: Experiment, round_number: int) -> None:
    """A run that fails after a round is recorded."""

    def stop(row: RoundRow) -> None:
        if row.round == round_number:
            raise RuntimeError("a round too many")

    with pytest.raises(RuntimeError, match="a round too many"):
        run(experiment, out, grid="serial", callbacks=[stop])


def test_files(finished: Path) -> None:
    """And nothing else: no temporary file stays.

    A longer run would not test round 5, so it can go on from round 4.
    """
    found = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    assert found == {
        ".lock",
        "config.yaml",
        "run.json",
        "rounds.csv",
        "clients.parquet",
        "timing.csv",
        "model.safetensors",
        "checkpoint/r000004/meta.json",
        "checkpoint/r000004/state.safetensors",
        "checkpoint/r000005/meta.json",
        "checkpoint/r000005/state.safetensors",
    }
    assert len({p.stat().st_mode for p in finished.iterdir() if p.is_file()}) == 1, (
        "all readable by the same people"
    )


def test_rounds_csv(finished: Path) -> None:
    """Test columns are empty where nothing was evaluated; the last round always is."""
    with (finished / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == ROUNDS
    assert [row["round"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["sim_s"] for row in rows] == ["10.0", "20.0", "30.0", "40.0", "50.0"]
    for column in ("test_accuracy", "test_loss"):
        assert [row["round"] for row in rows if row[column] != ""] == ["3", "5"]
    assert "nan" not in (finished / "rounds.csv").read_text()


def test_clients_parquet_adds_up_to_rounds_csv(finished: Path) -> None:
    """Sums; for the training loss the mean over the examples of the merged updates."""
    clients = pd.read_parquet(finished / "clients.parquet")
    rounds = pd.read_csv(finished / "rounds.csv", index_col="round")
    assert ",".join(clients.columns) == CLIENTS
    by_round = clients.groupby("round")
    assert by_round.size().to_dict() == rounds["n_selected"].to_dict() == dict.fromkeys(range(1, 6), 5)
    for column in ("macs", "download_bytes", "upload_bytes"):
        assert by_round[column].sum().to_dict() == rounds[column].to_dict()
    assert by_round["macs_available"].sum().to_dict() == pytest.approx(
        rounds["macs_available"].to_dict(), rel=1e-12
    )
    for status in ("completed", "partial", "dropped"):
        assert by_round["status"].agg(lambda s, v=status: int((s == v).sum())).to_dict() == (
            rounds[f"n_{status}"].to_dict()
        )
    assert (clients["status"] == "dropped").sum() >= 3, "the toy has slow clients"
    for round_number, group in clients[clients["status"] != "dropped"].groupby("round"):
        mean = (group["train_loss"] * group["n_examples"]).sum() / group["n_examples"].sum()
        assert rounds["train_loss"][round_number] == pytest.approx(mean, rel=1e-12)
    assert all(ids.is_monotonic_increasing and ids.is_unique for _, ids in by_round["client_id"])


def test_clients_parquet_types(finished: Path) -> None:
    """Integers stay integers, and a loss that does not exist is null, not NaN."""
    table = pq.read_table(finished / "clients.parquet")
    floats = {"macs_available", "sim_s", "mean_keep_rate", "train_loss", "download_s", "compute_s"}
    expected = (
        dict.fromkeys(CLIENTS.split(","), "int64") | dict.fromkeys(floats, "double") | {"status": "string"}
    )
    assert {f.name: str(f.type) for f in table.schema} == expected
    rows = table.to_pylist()
    assert not any(math.isnan(row[c]) for row in rows for c in floats if row[c] is not None)
    assert {row["status"] for row in rows if row["train_loss"] is None} == {"dropped"}


def test_config_yaml_is_the_whole_config(finished: Path) -> None:
    """Read again it is the same experiment, and it holds the defaults."""
    plain = yaml.safe_load((finished / "config.yaml").read_text())
    assert parse_experiment(plain, source="config.yaml") == mixed()
    assert plain["method"] == {"name": "fedavg"}
    assert plain["overrun"] == "drop"
    assert plain["merge"] == {"name": "average", "weight": "examples"}
    assert plain["link"]["name"] == "unlimited"


def test_run_json(finished: Path) -> None:
    info = json.loads((finished / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["seed"] == 7
    assert info["config_hash"] == mixed().hash()
    assert info["version"] == metadata.version("distreal-sim")
    assert info["packages"]["torch"] == metadata.version("torch")
    assert info["platform"]
    timing = pd.read_csv(finished / "timing.csv")
    assert list(timing["round"]) == [1, 2, 3, 4, 5]
    assert info["wall_s"] >= timing["train_wall_s"].sum() + timing["evaluate_wall_s"].sum()


def test_the_model_loads(finished: Path) -> None:
    """Names, shapes (also of the batch counters, which have none) and types of the network's state dict."""
    module = build(mixed()).module
    saved = load_file(finished / "model.safetensors")
    expected = module.state_dict()
    assert {k: (v.shape, str(v.dtype)) for k, v in saved.items()} == {
        k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in expected.items()
    }
    module.load_state_dict({k: torch.from_numpy(v) for k, v in saved.items()})


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    """Ended after round 3 with a checkpoint at 2; on resume the tables hold rounds 1 and 2 again."""
    stop_after(tmp_path, mixed(), 3)
    assert len((tmp_path / "rounds.csv").read_text().splitlines()) == 1 + 3
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"
    (tmp_path / "clients.parts" / "000003.parquet").write_bytes(b"a part from beyond the checkpoint")
    (tmp_path / "clients.parts" / "000004.parquet.tmp").write_bytes(b"half a part")
    (tmp_path / "checkpoint" / "r000004.tmp").mkdir()
    seen: list[int] = []

    def look(row: RoundRow) -> None:
        seen.append(row.round)
        assert len((tmp_path / "rounds.csv").read_text().splitlines()) == 1 + row.round

    run(mixed(), tmp_path, grid="serial", resume=True, callbacks=[look])
    assert seen == [3, 4, 5]
    assert len(pd.read_csv(tmp_path / "timing.csv")) == 5
    assert len(pd.read_parquet(tmp_path / "clients.parquet")) == 25


def test_resuming_a_finished_run_does_nothing(finished: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in finished.rglob("*") if p.name != ".lock"}
    run(
        mixed(),
        finished,
        grid="serial",
        resume=True,
        callbacks=[lambda row: pytest.fail("a round was played")],
    )
    after = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in finished.rglob("*") if p.name != ".lock"}
    assert after == before


def test_resume_of_nothing_is_a_new_run(tmp_path: Path) -> None:
    run(mixed(), tmp_path / "new", grid="serial", resume=True)
    assert (tmp_path / "new" / "model.safetensors").exists()


def test_a_mistake_that_only_the_data_shows_leaves_the_directory_free(tmp_path: Path) -> None:
    """The mended experiment, which differs, needs neither --resume nor another directory."""
    with pytest.raises(InputError, match="no such file"):
        run(
            toy(method={"name": "distreal", "front": tmp_path / "missing.json"}),
            tmp_path / "out",
            grid="serial",
        )
    run(toy(), tmp_path / "out", grid="serial")


def test_name_and_data_folder_may_change_on_resume(tmp_path: Path) -> None:
    stop_after(tmp_path, mixed(), 3)
    renamed = parse_experiment({**mixed().resolved(), "name": "renamed"}, source="renamed")
    run(renamed, tmp_path, grid="serial", resume=True)
    assert (tmp_path / "clients.parquet").exists()
