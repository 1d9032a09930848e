"""A finished run that is extended has the bytes of a run that was as long from the start."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import distreal_sim
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.base.plugins import names
from distreal_sim.methods import Method

from .compare import assert_same_results

REMEMBERING = {**TOY, "method": {"name": "misbehaving.Remembering"}, "checkpoint_every": 3}
"""Clients remember, so that a round that is played twice or left out changes every result."""


SLOW = pytest.mark.slow


def play(out: Path, rounds: int, **more: Any) -> Path:
    return ds.run({**REMEMBERING, "rounds": rounds, **more}, out, grid="serial", resume=out.exists()).path


def test_from_3_to_5_rounds(tmp_path: Path) -> None:
    """Before it goes on, the files of the finished run are gone; afterwards one checkpoint is left."""
    out = play(tmp_path / "out", 3)
    before = (out / "model.safetensors").read_bytes()
    assert play(out, 3) == out
    seen: list[bool] = []

    def look(row: Any) -> None:
        seen.append((out / "model.safetensors").exists() or (out / "clients.parquet").exists())
        n_rounds = 3 if row.round == 4 else 5  # round 5 is committed when it is seen
        assert len(ds.load_runs(out)[0].clients) == 5 * n_rounds

    ds.run({**REMEMBERING, "rounds": 5}, out, grid="serial", resume=True, callbacks=[look])
    assert seen == [False, False]
    assert_same_results(out, play(tmp_path / "whole", 5))
    assert (out / "model.safetensors").read_bytes() != before
    assert [p.name for p in (out / "checkpoint").iterdir()] == ["r000005"]
    info, whole = (json.loads((path / "run.json").read_text()) for path in (out, tmp_path / "whole"))
    assert {key: info[key] for key in ("status", "rounds", "config_hash")} == {
        "status": "finished",
        "rounds": 5,
        "config_hash": whole["config_hash"],
    }


@pytest.mark.parametrize(
    ("every", "first"), [(2, 3), *(pytest.param(*both, marks=SLOW) for both in [(2, 4), (5, 1), (3, 4)])]
)
def test_the_last_round_is_not_tested_in_a_longer_run(every: int, first: int, tmp_path: Path) -> None:
    """Round 3 of 3 is tested, round 3 of 6 with a test every 2 rounds is not, so it is played again."""
    more = {"evaluation": {"every": every}}
    out = play(tmp_path / "out", first, **more)
    assert ds.load_runs(out)[0].rounds["test_accuracy"].notna().iloc[-1]
    play(out, 6, **more)
    whole = play(tmp_path / "whole", 6, **more)
    assert_same_results(out, whole)
    tested = ds.load_runs(out)[0].rounds["test_accuracy"].notna()
    assert list(tested) == [n % every == 0 or n == 6 for n in range(1, 7)]


@pytest.mark.parametrize(
    "state", ["config", *(pytest.param(s, marks=SLOW) for s in ("info", "model", "parts", "stopped"))]
)
def test_cut_short_while_it_is_extended(state: str, tmp_path: Path) -> None:
    """What is on the disk when a command dies: after run.json was written, after config.yaml, after the old
    model was removed, after a finished run's parts were removed by half; and a run that a callback ended.
    """
    out = play(tmp_path / "out", 3, evaluation={"every": 2})
    old = shutil.copytree(out, tmp_path / "old")
    goes_on = {**REMEMBERING, "rounds": 6, "evaluation": {"every": 2}}

    def stop(row: Any) -> bool:
        return True

    if state == "parts":
        (out / "clients.parts").mkdir()
        (out / "clients.parts" / "000003.parquet").write_bytes(b"half")
    else:
        ds.run(goes_on, out, grid="serial", resume=True, callbacks=[stop])
        # round 3 is played again without its test
        assert list(ds.load_runs(out)[0].rounds["round"]) == [1, 2, 3]
    if state in ("info", "config", "model"):
        shutil.copy(old / "rounds.csv", out)
        shutil.rmtree(out / "checkpoint")
        shutil.copytree(old / "checkpoint", out / "checkpoint")
        (out / "clients.parts" / "000003.parquet").unlink()
    for name, states in {"config.yaml": ["info"], "clients.parquet": ["info", "config"]}.items():
        if state in states:
            shutil.copy(old / name, out)
    ds.run(goes_on, out, grid="serial", resume=True)
    assert_same_results(out, play(tmp_path / "whole", 6, evaluation={"every": 2}))


@pytest.mark.parametrize(
    ("there", "now", "message"),
    [
        ({}, ["rounds=2"], "out holds a run of 3 rounds: rounds = 2 would shorten it, and a run"),
        (
            {"local": {**TOY["local"], "lr_schedule": {"name": "cosine"}}},
            ["rounds=5"],
            r"out cannot be extended from 3 rounds to 5: with local.lr_schedule cosine the learning rate "
            r"depends on the number of rounds \(round 2: 0.05 then, 0.08536 now\), so this is another run; "
            "choose another --out, or a schedule such as constant, step or exponential",
        ),
        (
            {"method": {"name": "slt"}},
            ["rounds=5"],
            r"out cannot be extended from 3 rounds to 5: distreal_sim/methods/slt.py uses the planned number "
            r"of rounds \(n_rounds\), so this is another run; choose another --out",
        ),
        (
            {"coordination": {"name": "fedasync"}},
            ["rounds=5"],
            "out cannot be extended from 3 rounds to 5: with coordination.name fedasync the last step ends "
            "the jobs that are running, so this is another run; choose another --out",
        ),
        ({}, ["rounds=5", "local.lr=0.2"], "out holds the run of another config: local.lr is 0.1 there"),
    ],
    ids=["fewer", "schedule", "method", "coordination", "another key"],
)
def test_another_run_is_refused(there: Any, now: list[str], message: str, tmp_path: Path) -> None:
    """Half a cosine over 3 rounds is 0.1 * (1 + cos(pi / 2)) / 2 = 0.05 in round 2, over 5 rounds
    0.1 * (1 + cos(pi / 4)) / 2 = 0.08536. The finished run stays as it is.
    """
    config = tmp_path / "toy.yaml"
    config.write_text(yaml.safe_dump({**TOY, "rounds": 3, **there}))
    words = ("run", config, "--grid", "serial", "--out", tmp_path / "out")
    assert distreal_sim(*words).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    done = distreal_sim(*words, "--resume", *now)
    assert done.code == 2
    assert re.search(message, done.stderr), done.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["wait_all", "first_k"])
def test_servers_whose_steps_leave_no_job_behind_are_extended(name: str, tmp_path: Path) -> None:
    """Their selections and dispatches go on with the next number."""
    coordination = {"coordination": {"name": name}}
    out = play(tmp_path / "out", 2, **coordination)
    play(out, 4, **coordination)
    assert_same_results(out, play(tmp_path / "whole", 4, **coordination))


def test_a_schedule_that_does_not_know_the_end_is_extended(tmp_path: Path) -> None:
    local = {**TOY["local"], "lr_schedule": {"name": "exponential", "factor": 0.5, "warmup_rounds": 1}}
    out = play(tmp_path / "out", 2, local=local)
    play(out, 3, local=local)
    assert_same_results(out, play(tmp_path / "whole", 3, local=local))


def test_the_directory_of_a_run_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --out another number of rounds is part of the name, except where a run goes on."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "method": "fedavg", "rounds": 1}))
    monkeypatch.chdir(tmp_path)
    words = ("run", "toy.yaml", "--grid", "serial")
    assert distreal_sim(*words).stdout.startswith("runs/toy-fedavg-7: 1 round,")
    assert distreal_sim(*words, "rounds=2").stdout.startswith("runs/toy-fedavg-7-rounds=2: 2 rounds")
    shutil.rmtree("runs/toy-fedavg-7-rounds=2")
    assert distreal_sim(*words, "rounds=2", "--resume").stdout.startswith("runs/toy-fedavg-7: 2 rounds")


def test_methods_that_depend_on_the_planned_rounds() -> None:
    """Of the bundled ones slt, which divides the rounds among its steps, and model_averaging, its steps."""
    found = [name for name in names(Method) if toy(method={"name": name}).readers("n_rounds")]
    assert found == ["model_averaging", "slt"]
