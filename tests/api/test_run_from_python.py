"""ds.run and what it gives back: the tables, the config, the model; callbacks that end a run."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from command import distreal_sim
from safetensors.numpy import load_file
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.config.build import build
from distreal_sim.search.settings import Search
from distreal_sim.sweep.settings import Sweep

SMALL: dict[str, Any] = {**TOY, "rounds": 3, "method": "fedavg"}

FILES = ("rounds.csv", "model.safetensors", "config.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ds.Run:
    """The small experiment, run to its end from a mapping."""
    return ds.run(SMALL, tmp_path_factory.mktemp("whole") / "out", grid="serial")


def test_the_tables_are_those_of_the_files(whole: ds.Run) -> None:
    """Three rounds of five clients; a client's MACs add up to the round's."""
    assert list(whole.rounds["round"]) == [1, 2, 3]
    assert len(whole.clients) == 15
    assert list(whole.clients.groupby("round")["macs"].sum()) == list(whole.rounds["macs"])
    assert whole.config == yaml.safe_load((whole.path / "config.yaml").read_text())
    assert (whole.seed, whole.label) == (7, "fedavg")


def test_the_model_has_the_accuracy_of_the_last_round(whole: ds.Run) -> None:
    """Counted here, with nothing of the evaluation's code but the data and their normalisation."""
    model, data = whole.model(), build(toy(**SMALL)).data
    assert not model.training
    shape = (1, -1, 1, 1)
    mean, std = (torch.tensor(values).view(shape) for values in (data.mean, data.std))
    x = (torch.tensor(data.test.x).float() - mean) / std
    with torch.no_grad():
        share = (model(x).argmax(dim=1).numpy() == data.test.y).mean()
    assert share == pytest.approx(whole.rounds["test_accuracy"].iloc[-1])


play = functools.partial(ds.run, grid="serial")


@pytest.mark.parametrize(
    "given",
    [
        lambda path: ds.run(path, path.parent / "out", grid="serial", rounds=3, **{"method.name": "fedavg"}),
        lambda path: ds.run(
            str(path), path.parent / "out", grid="serial", rounds=3, method={"name": "fedavg"}
        ),
        lambda path: play(toy(), path.parent / "out", rounds=3, method="fedavg"),
        lambda path: ds.run(
            ds.load_experiment(path, rounds=3, method="fedavg"), path.parent / "out", grid="serial"
        ),
        lambda path: distreal_sim(
            "run", path, "rounds=3", "method.name=fedavg", "--grid", "serial", "--out", path.parent / "out"
        ),
    ],
    ids=["dots", "nested", "experiment", "loaded", "command line"],
)
@pytest.mark.filterwarnings("ignore")
def test_each_way_to_say_it_gives_the_same_bytes(given: Callable[[Path], object], tmp_path: Path) -> None:
    """toy.yaml with another method. Of an experiment all options count as given."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    given(tmp_path / "toy.yaml")
    expected = ds.run({**TOY, "rounds": 3, "method": "fedavg"}, tmp_path / "expected", grid="serial")
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (expected.path / name).read_bytes(), name


def test_the_directory_is_the_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = ds.run(SMALL, rounds=1, grid="serial", local={"lr": 0.2}, training=False)
    assert run.path == Path("runs/toy-fedavg-7-local.lr=0.2-rounds=1")


class Watching(ds.Callback):
    """Keeps the first parameter of each round, and stops after one of them."""

    def __init__(self, last: int) -> None:
        self.last, self.seen = last, dict[int, np.ndarray]()

    def on_round(self, row: Any, state: ds.State) -> bool:
        self.seen[row.round] = next(iter(state.arrays.values())).copy()
        return row.round == self.last


def test_a_callback_sees_the_state_ends_the_run_and_the_run_goes_on(whole: ds.Run, tmp_path: Path) -> None:
    """It stops after round 1 of 3, which no checkpoint would be due after; then the run is resumed to the
    bytes of the run that nobody stopped. The last state is the model's.
    """
    watching, rows = Watching(1), list[int]()
    cut = ds.run(SMALL, tmp_path, grid="serial", callbacks=[watching, lambda row: rows.append(row.round)])
    info = json.loads((tmp_path / "run.json").read_text())
    assert (info["status"], info["stopped_by"]) == ("stopped", "round 1: Watching returned True")
    assert (list(cut.rounds["round"]), rows, list(watching.seen)) == ([1], [1], [1])
    assert len(cut.clients) == 5
    first = dict(cut.model().named_parameters())
    (name, value) = next(iter(first.items()))
    assert np.array_equal(value.detach().numpy(), watching.seen[1])
    rest = Watching(3)
    ds.run(SMALL, tmp_path, grid="serial", resume=True, callbacks=[rest])
    assert list(rest.seen) == [2, 3]
    assert np.array_equal(load_file(tmp_path / "model.safetensors")[name], rest.seen[3])
    pd.testing.assert_frame_equal(ds.load_runs(tmp_path)[0].clients, whole.clients)
    for file in FILES:
        assert (tmp_path / file).read_bytes() == (whole.path / file).read_bytes(), file
    info = json.loads((tmp_path / "run.json").read_text())
    assert (info["status"], "stopped_by" in info) == ("finished", False)


def test_a_function_may_raise_stop_run_with_a_reason(tmp_path: Path) -> None:
    """All callbacks see the round; the first reason counts."""
    rows: list[int] = []

    def stop(row: Any) -> None:
        if row.round == 2:
            raise ds.StopRun("good enough")

    ds.run(SMALL, tmp_path, grid="serial", callbacks=[stop, lambda row: rows.append(row.round), Watching(2)])
    assert rows == [1, 2]
    assert json.loads((tmp_path / "run.json").read_text())["stopped_by"] == "round 2: good enough"


def test_a_callback_ends_a_run_without_training(tmp_path: Path) -> None:
    run = ds.run(SMALL, tmp_path, training=False, callbacks=[lambda row: row.round == 2])
    assert json.loads((run.path / "run.json").read_text())["status"] == "stopped"
    with pytest.raises(ds.InputError, match="holds no model"):
        run.model()


def test_no_option_of_run_has_the_name_of_a_key() -> None:
    """An override of that name could not be given."""
    kinds = {
        ds.run: [ds.Experiment],
        ds.search: [Search],
        ds.sweep: [Sweep, ds.Experiment],
        ds.check: [ds.Experiment],
    }
    for function, models in kinds.items():
        own = {p.name for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD}
        for model in models:
            assert not own & set(model.model_fields)


def test_mistakes_name_the_override() -> None:
    with pytest.raises(ds.InputError, match=r"config with rouns=3: unknown key 'rouns'.*'rounds'"):
        ds.run(SMALL, rouns=3)
    with pytest.raises(ds.InputError, match=r"overrun = 'dropp' must be"):
        ds.load_experiment(SMALL, overrun="dropp")


def test_a_figure(whole: ds.Run, tmp_path: Path) -> None:
    figure = whole.plot(x="round", out=tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert list(figure.axes[0].get_xlim())[1] == pytest.approx(3 * 1.015)
