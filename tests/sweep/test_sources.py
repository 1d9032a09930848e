"""Sweeps and searches of the user's own code, which is changed between two calls."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.search.directory import open_directory
from distreal_sim.search.settings import load_search
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.run import Outcome, run_sweep

from .toy_sweep import write_sweep

METHOD = """
from distreal_sim.methods.fedavg import FedAvg
class Mine(FedAvg):
    def train(self, client, job):
        {first}
        return super().train(client, job)
"""

MODEL = """
from torch import nn
from my_layers import layers
class Net(nn.Sequential):
    def __init__(self, n_classes):
        super().__init__(nn.Flatten(), *layers(64, n_classes))
"""

LAYERS = """
from torch import nn
def layers(n, m):
    return [nn.Linear(n, {width}), nn.ReLU(), nn.Linear({width}, m)]
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """write(my_method=...) writes modules, which are imported afresh."""
    (tmp_path / "code").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def modules(**texts: str) -> None:
        for name in ("my_method", "my_model", "my_layers"):
            sys.modules.pop(name, None)
        for name, text in texts.items():
            (tmp_path / "code" / f"{name}.py").write_text(text)

    yield modules
    modules()


def play(path: Path, out: Path) -> tuple[Outcome, list[str], dict[str, str]]:
    """The outcome, what was said but for the memory, and the status of the cells by label."""
    said: list[str] = []
    sweep, cells, _ = load_cells(path)
    outcome = run_sweep(sweep, cells, out, n_workers=1, say=said.append)
    with (out / "sweep.csv").open(newline="") as file:
        status = {row["label"]: row["status"] for row in csv.DictReader(file)}
    return outcome, [line for line in said if " to run, " not in line], status


def test_a_method_that_was_changed_is_another_cell(write: Write, tmp_path: Path) -> None:
    """Its training raises in the second version: the cell is played, fails, and the old run is kept aside.

    The other cell has no code of the user's, and is finished. With the first version back all is as before.
    """
    path = write_sweep(tmp_path, {"rounds": 1}, grid={"method": ["fedavg", "my_method.Mine"]},
                       seeds=[7], baseline=None)  # fmt: skip
    out = tmp_path / "out"
    write(my_method=METHOD.format(first="pass"))
    first, said, status = play(path, out)
    assert (first.n_before, said, set(status.values())) == (0, [], {"finished"})
    write(my_method=METHOD.format(first="raise RuntimeError('the sensor is on fire')"))
    second, said, status = play(path, out)
    assert (second.n_before, len(second.failures)) == (1, 1)
    assert "the sensor is on fire" in second.failures[0][1].message
    assert said == [
        "my_method.py was changed after 1 cell was run: it is run again, and the earlier run is not listed"
    ]
    assert status == {"fedavg": "finished", "my_method.Mine": "failed"}
    write(my_method=METHOD.format(first="pass"))
    third, said, status = play(path, out)
    assert (third.n_before, said, set(status.values())) == (2, [], {"finished"})


def test_a_module_that_the_network_imports_was_changed(write: Write, tmp_path: Path) -> None:
    """Two seeds of a network whose layers stand in another file: both are run again, with another width."""
    path = write_sweep(tmp_path, {"rounds": 1, "model": "my_model.Net"}, grid={"method": ["fedavg"]},
                       baseline=None)  # fmt: skip
    write(my_model=MODEL, my_layers=LAYERS.format(width=5))
    assert play(path, tmp_path / "out")[0].n_before == 0
    assert play(path, tmp_path / "out")[0].n_before == 2
    write(my_layers=LAYERS.format(width=6))
    outcome, said, _ = play(path, tmp_path / "out")
    assert (outcome.n_before, outcome.failures) == (0, ())
    assert said == [
        "my_layers.py was changed after 2 cells were run: they are run again, and the earlier runs are "
        "not listed"
    ]


def test_a_search_is_not_resumed_with_another_network(write: Write, tmp_path: Path) -> None:
    write(my_model=MODEL, my_layers=LAYERS.format(width=5))
    method = {"name": "distreal", "drop_linear": True}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "model": "my_model.Net", "method": method}))
    (tmp_path / "search.yaml").write_text("experiment: toy.yaml\n")
    for width in (5, 6, 5):
        write(my_layers=LAYERS.format(width=width))
        search, experiment, _ = load_search(tmp_path / "search.yaml")
        if width == 5:
            with open_directory(tmp_path / "out", search, experiment, resume=True) as directory:
                directory.begin()
            continue
        with (
            pytest.raises(
                InputError, match=r"the search of other source code: my_layers\.py has been changed"
            ),
            open_directory(tmp_path / "out", search, experiment, resume=True),
        ):
            pass
