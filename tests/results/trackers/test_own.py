"""Trackers: told of every round once, of a config or of Python, and no part of a run's identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from own_tracker import Lines
from toys import TOY, toy

import distreal_sim as ds

CONFIG: dict[str, Any] = {**TOY, "method": "fedavg", "rounds": 3, "evaluation": {"every": 2}}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("where", ["config", "callbacks"])
def test_it_is_told_of_every_round(where: str, tmp_path: Path) -> None:
    """Rounds 1 and 2 by one command, round 3 by the next; without a test there is no accuracy."""
    file = tmp_path / "log"
    own = {"name": "own_tracker.Lines", "file": str(file)}
    config = {**CONFIG, "trackers": [own]} if where == "config" else CONFIG
    more: list[Any] = [] if where == "config" else [Lines(file=file)]
    out = tmp_path / "out"
    ds.run(config, out, grid="serial", callbacks=[*more, lambda row: row.round == 2])
    rows = ds.run(config, out, grid="serial", resume=True, callbacks=more).rounds
    found = lines(file)
    first = {"title": "toy-fedavg-7", "lr": 0.1}
    assert [line for line in found if "round" not in line] == [
        {"first": 1, **first},
        {"finished": False},
        {"first": 3, **first},
        {"finished": True},
    ]
    told = [line for line in found if "round" in line]
    assert [line["round"] for line in told] == [1, 2, 3]
    assert [line["train_loss"] for line in told] == list(rows["train_loss"])
    assert ["test_accuracy" in line for line in told] == [False, True, True]


def test_a_tracker_that_fails_ends_the_run_which_can_go_on(tmp_path: Path) -> None:
    own = {"name": "own_tracker.Lines", "file": str(tmp_path / "log"), "fails_in": 2}
    out = tmp_path / "out"
    message = (
        "tracker own_tracker.Lines, round 2, fails with ConnectionRefusedError: nobody listens; --resume"
    )
    with pytest.raises(ds.RunError, match=message):
        ds.run({**CONFIG, "trackers": [own]}, out, grid="serial")
    assert lines(tmp_path / "log")[-1] == {"finished": False}
    assert len(ds.run(CONFIG, out, grid="serial", resume=True).rounds) == 3


def test_it_is_no_part_of_the_result() -> None:
    own = {"name": "own_tracker.Lines", "file": "log"}
    assert toy(trackers=["wandb", own]).hash() == toy().hash()
