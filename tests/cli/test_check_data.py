"""What `check` and `run` say about the data: counts, missing classes, examples that stand twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import toy

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.config.build import build
from distreal_sim.data.datasets import Data, Examples
from distreal_sim.data.datasets.digits import Digits
from distreal_sim.inspection.data import WIDTH, data_lines, warnings_of
from distreal_sim.inspection.estimate import forecast
from distreal_sim.methods import Method
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.run import run


def data_of(train: list[int], test: list[int], n_classes: int) -> Data:
    """Examples of 1 x 2 x 2 with these labels; all differ."""
    x = np.arange(4 * (len(train) + len(test)), dtype=np.float32).reshape(-1, 1, 2, 2)
    n, one = len(train), np.ones(1, np.float32)
    examples = Examples(x[:n], np.array(train)), Examples(x[n:], np.array(test))
    return Data(*examples, n_classes, one, one)


def test_counts_and_missing_classes() -> None:
    lines = list(data_lines(data_of([0, 0, 1, 3], [0, 1, 2, 3], 4)))
    assert lines == [
        "training examples of classes 0 .. 3: 2 1 0 1",
        "test examples of each class: 1",
        "classes without training examples: 2",
    ]


def test_many_classes_fit_on_a_line_of_80() -> None:
    """Labels of the even ones of 200 classes: 100 are missing; min 0, median 0.5, max 1."""
    lines = list(data_lines(data_of(list(range(0, 200, 2)), [0], 200)))
    assert lines[0] == "training examples of a class: min 0, median 0.5, max 1"
    assert lines[2].startswith("classes without training examples: 1, 3, 5")
    assert lines[2].endswith(", ... (100 in all)")
    assert lines[3].endswith(", ... (199 in all)")
    assert all(len(line) <= WIDTH for line in lines)


def test_examples_that_stand_twice() -> None:
    """Test example 2 is training example 0, with another label; training examples 1 and 3 are the same."""
    data = data_of([0, 1, 2, 1], [0, 1, 2], 3)
    data.test.x[2] = data.train.x[0]
    data.train.x[3] = data.train.x[1]
    assert list(warnings_of(data)) == [
        "1 of 3 test examples are training examples too (test 2)",
        "1 of 4 training examples are copies of others of them",
    ]


def test_inputs_that_never_vary() -> None:
    data = data_of([0, 1], [0, 1], 2)
    data.train.x[:, 0, 1] = 5
    assert list(data_lines(data))[-1] == "2 of 4 inputs are the same in all training examples"


class WithoutNines(Digits):
    """The digits without a training example of class 9 and a test example of class 8."""

    def load(self) -> Data:
        data = super().load()
        train, test = data.train.y != 9, data.test.y != 8
        return replace(
            data,
            train=Examples(data.train.x[train], data.train.y[train]),
            test=Examples(data.test.x[test], data.test.y[test]),
        )


def test_run_says_which_classes_are_missing(tmp_path: Path) -> None:
    said: list[str] = []
    run(toy(rounds=1, dataset=WithoutNines()), tmp_path / "out", grid="serial", warn=said.append)
    assert said == [f"warning: classes without {n}" for n in ("training examples: 9", "test examples: 8")]


class ReturnsNothing(FedAvg):
    """Forgets to return its update."""

    def train(self, *arguments: Any) -> Any:
        super().train(*arguments)


class ReturnsArrays(FedAvg):
    """Returns the arrays alone."""

    def train(self, *arguments: Any) -> Any:
        return super().train(*arguments).arrays


@pytest.mark.parametrize(("method", "what"), [(ReturnsNothing, "None"), (ReturnsArrays, "dict")])
def test_a_train_that_gives_no_update_is_named(method: type[FedAvg], what: str, tmp_path: Path) -> None:
    experiment = toy(rounds=1, method=method())
    says = rf"train\(\) of method .*{method.__name__} must return an Update.*, not {what}"
    with pytest.raises(InputError, match=says):
        forecast(experiment, build(experiment), [0, 1])
    with pytest.raises(RunError, match=rf"client \d+, round 1, while training.*{says}"):
        run(experiment, tmp_path / "out", grid="serial")


class Idle(Method):
    """Says nothing of what its clients train."""


def test_a_method_without_levels_is_named() -> None:
    experiment = toy(method=Idle())
    with pytest.raises(InputError, match=r"Idle must have one of levels, own_levels and train"):
        forecast(experiment, build(experiment), [0, 1])


@pytest.mark.parametrize(
    ("hook", "given", "wanted", "what"),
    [
        ("plan", None, "a list of Jobs", "None"),
        ("plan", [1], "a list of Jobs", "int"),
        ("merge", None, "a State", "None"),
        ("merge", {}, "a State", "dict"),
        ("start", None, "a State", "None"),
    ],
)
def test_what_a_method_gives_back_on_the_server_is_named(
    hook: str, given: Any, wanted: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FedAvg, hook, lambda *arguments: given)
    experiment = toy(rounds=1, method={"name": "fedavg"})
    says = rf"^{hook}\(\) of method fedavg must return {wanted}.*, not {what}$"
    with pytest.raises(InputError, match=says):
        run(experiment, tmp_path / "out", grid="serial")
    if hook != "merge":
        with pytest.raises(InputError, match=says):
            forecast(experiment, build(experiment), [0, 1])


@pytest.mark.parametrize("hook", ["plan", "merge", "start"])
def test_what_a_method_raises_on_the_server_is_named(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise LookupError("no idea")

    monkeypatch.setattr(FedAvg, hook, fail)
    when = {"plan": "planning round 1", "merge": "merging round 1", "start": "before round 1"}[hook]
    with pytest.raises(InputError, match=rf"^method fedavg, {when}, fails with LookupError: no idea$"):
        run(toy(rounds=1, method={"name": "fedavg"}), tmp_path / "out", grid="serial")


@pytest.mark.parametrize(
    ("partition", "remedy"),
    [
        ({"name": "dirichlet", "alpha": 0.5}, "set partition.min_examples=2"),
        ({"name": "dirichlet", "alpha": 9, "variant": "by_client"}, "lower n_clients"),
        ({"name": "iid", "sizes": "lognormal", "sigma": 3}, "set partition.sizes=equal"),
        ({"name": "shards", "classes_per_client": 1}, "raise partition.classes_per_client"),
        ({"name": "bootstrap", "examples": 1}, "raise partition.examples"),
    ],
)
def test_the_advice_about_one_example_fits_the_partition(partition: dict[str, Any], remedy: str) -> None:
    n_clients = 300 if partition.get("variant") is None and partition["name"] == "dirichlet" else 1000
    with pytest.raises(InputError, match=rf"holds 1 example.*; {remedy}"):
        build(toy(n_clients=n_clients, partition=partition))


def leaf(sizes: list[int], first: int) -> dict[str, Any]:
    users = {f"u{i}": {"x": [[(first + i) / 255] * 784] * n, "y": [i] * n} for i, n in enumerate(sizes)}
    return {"users": list(users), "num_samples": sizes, "user_data": users}


def test_the_advice_about_writers_works(tmp_path: Path) -> None:
    """Of writers with 5, 1, 9, 8, 1, 7 examples four have two or more."""
    for part, first in (("train", 0), ("test", 100)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.json").write_text(json.dumps(leaf([5, 1, 9, 8, 1, 7], first)))
    options = {
        "dataset": {"name": "femnist", "data_dir": tmp_path},
        "n_clients": None,
        "clients_per_round": 2,
    }
    with pytest.raises(InputError, match=r"holds 1 example.*; set partition.min_examples=2"):
        build(toy(**options, partition={"name": "by_writer"}))
    task = build(toy(**options, partition={"name": "by_writer", "min_examples": 2}))
    assert task.split.sizes.tolist() == [5, 9, 8, 7]
