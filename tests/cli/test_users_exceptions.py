"""`check` of a config whose user-written parts raise: one line that names the part, and no traceback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from toys import TOY

from distreal_sim.cli import main

PARTS = """
import torch
from torch import nn
from distreal_sim.data.datasets.digits import Digits
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.data.partitions.iid import Iid
from distreal_sim.devices.profiles.constant import Constant


class Data(Digits):
    def load(self):
        raise KeyError("no such\\ncolumn")


class Split(Iid):
    def split(self, *args):
        return 1 / 0


class Profile(Constant):
    def timeline(self, *args):
        raise LookupError("no trace")


class Bound(Constant):
    def lower_bound(self):
        raise LookupError("no bound")


class Plans(FedAvg):
    def plan(self, *args):
        raise AttributeError("no plan")


class Trains(FedAvg):
    def train(self, *args):
        raise IndexError("no batch")


class Levels(FedAvg):
    def levels(self, task):
        raise KeyError("no level")


class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.hidden, self.out = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(6, n_classes)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        return self.out(self.middle(self.hidden(self.conv(x)).mean((2, 3))))

    def middle(self, x):
        return x


class Large(Net):
    def middle(self, x):
        if len(x) > 4:
            raise FloatingPointError("too many")
        return x


class Wide(Net):
    def middle(self, x):
        return x + torch.zeros(6) if len(x) > 4 else x


class Pooled(Net):
    def middle(self, x):
        return self.norm(x)


class Few(Net):
    def middle(self, x):
        if self.training and len(x) > 4:
            torch.zeros(3)[7]
        return x
"""


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "raising_parts", raising=False)


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *more: str, **changes: Any
) -> str:
    """What `check` says on stderr when it ends with exit code 2."""
    Path("bad.yaml").write_text(yaml.safe_dump({**TOY, **changes}))
    monkeypatch.setattr(sys, "argv", ["distreal-sim", "check", "bad.yaml", *more])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "part", "message"),
    [
        ("dataset", "Data", ": load() raised KeyError: 'no such"),
        ("partition", "Split", " fails with ZeroDivisionError: division by zero"),
        ("profile", "Profile", ", asked for client 0, fails with LookupError: no trace"),
        ("profile", "Bound", ", asked for client 0, fails with LookupError: no bound"),
        ("method", "Plans", ", planning round 1, fails with AttributeError: no plan"),
        ("method", "Trains", ", timing client 0 in round 1, fails with IndexError: no batch"),
        ("model", "Large", ", tried on its data, fails with FloatingPointError: too many"),
        ("model", "Few", ", tried on its data, fails with IndexError: index 7"),
    ],
)
def test_one_line_names_the_part(
    key: str,
    part: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = {} if key == "method" else {"method": {"name": "fedavg"}}
    error = told(capsys, monkeypatch, **method, **{key: {"name": f"raising_parts.{part}"}})
    noun = "data set" if key == "dataset" else key
    assert error.startswith(f"error: {noun} raising_parts.{part}{message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "start"),
    [
        (["check", "sweep.yaml"], "error: cell 'raising_parts.Levels, seed 7': "),
        (["sweep", "sweep.yaml", "--out", "sweep"], "error: cell 'raising_parts.Levels, seed 7': "),
        (["run", "bad.yaml", "--no-training", "--out", "run"], "error: "),
        (["inspect", "model", "bad.yaml"], "error: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_levels_that_raise_in_other_commands(
    command: list[str], start: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They ask a method for its levels before anything else does."""
    Path("bad.yaml").write_text(yaml.safe_dump({**TOY, "method": {"name": "raising_parts.Levels"}}))
    sweep = {"base": "bad.yaml", "grid": {"method.name": ["raising_parts.Levels"]}, "seeds": [7]}
    Path("sweep.yaml").write_text(yaml.safe_dump(sweep))
    monkeypatch.setattr(sys, "argv", ["distreal-sim", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(start)
    assert error.endswith("method raising_parts.Levels fails with KeyError: 'no level'")


def test_another_path_than_the_one_followed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more than four examples the network adds six zeros, a width that the following never met."""
    error = told(capsys, monkeypatch, model={"name": "raising_parts.Wide"})
    assert "it took another path than when its channels were followed" in error
    assert error.count("\n") == 1


def test_verbose_shows_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = told(capsys, monkeypatch, "--verbose", dataset={"name": "raising_parts.Data"})
    assert 'raise KeyError("no such' in error


def test_batches_of_one_example_and_batch_norm_behind_pooling(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchNorm1d then has one value a channel; the same network without it may train on one at a time."""
    local = {**TOY["local"], "batch_size": 1}
    error = told(capsys, monkeypatch, model={"name": "raising_parts.Pooled"}, local=local)
    assert "local.batch_size (1): model raising_parts.Pooled cannot train on one example" in error
    assert error.count("\n") == 1
    Path("good.yaml").write_text(
        yaml.safe_dump({**TOY, "model": {"name": "raising_parts.Net"}, "local": local})
    )
    monkeypatch.setattr(sys, "argv", ["distreal-sim", "check", "good.yaml"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
