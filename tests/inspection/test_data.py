"""What `check` and `run` say about the data: counts, missing classes, examples that stand twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from toys import toy

from distreal_sim.data.datasets import Data, Examples
from distreal_sim.data.datasets.digits import Digits
from distreal_sim.inspection.data import WIDTH, data_lines, warnings_of
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
        "1 of 3 test examples are training examples too, the first of them number 2",
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
