"""Scores of the global model by class of the test examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toys import NEXT_TOKEN, whole_toy

from distreal_sim import run
from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.recipe.metrics.accuracy import Accuracy
from distreal_sim.recipe.scoring import Scoring
from distreal_sim.recipe.tasks.classification import Classification
from distreal_sim.simulation.callbacks import StopRun
from distreal_sim.simulation.rows import RoundRow


def test_by_hand() -> None:
    """Of class 0 one of two is right, of class 1 the only one, class 2 has none; the other 0 is taken for 1.

    In two parts the counts are the same.
    """
    scoring = Scoring(Classification(), (Accuracy(),), by_class=True)
    outputs = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    y = torch.tensor([0, 0, 1])
    rows = scoring.of_classes(scoring.statistics(outputs, y))
    assert [(r["label"], r["n_examples"], r["n_predicted"]) for r in rows] == [
        (0, 2, 1),
        (1, 1, 2),
        (2, 0, 0),
    ]
    np.testing.assert_equal([r["accuracy"] for r in rows], [0.5, 1.0, np.nan])
    joined = scoring.join([scoring.statistics(outputs[part], y[part]) for part in ([0], [1, 2])])
    np.testing.assert_equal(scoring.of_classes(joined), rows)
    assert scoring.values(joined)["accuracy"] == pytest.approx(2 / 3)
    plain = Scoring(Classification(), (Accuracy(),))
    assert plain.of_classes(plain.statistics(outputs, y)) == []


def test_table_and_resume(tmp_path: Path) -> None:
    """Ten classes of 360 test examples in rounds 2 and 4; the accuracy of rounds.csv follows from them. A run
    that was cut short has the same bytes, and a run without the key has no table and the same rounds.
    """
    changes = {"method": {"name": "fedavg"}, "checkpoint_every": 1, "rounds": 4}
    told = whole_toy(evaluation={"classes": True, "every": 2}, **changes)
    run(told, tmp_path / "whole", grid="serial")

    def halt(row: RoundRow) -> None:
        if row.round == 3:
            raise StopRun("enough")

    run(told, tmp_path / "cut", grid="serial", callbacks=[halt])
    run(told, tmp_path / "cut", grid="serial", resume=True)
    run(whole_toy(evaluation={"every": 2}, **changes), tmp_path / "plain", grid="serial")
    for name in ("rounds.csv", "class_scores.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "plain" / "class_scores.csv").exists()
    rounds = pd.read_csv(tmp_path / "whole" / "rounds.csv")
    assert rounds.equals(pd.read_csv(tmp_path / "plain" / "rounds.csv"))
    table = pd.read_csv(tmp_path / "whole" / "class_scores.csv")
    assert list(table.columns) == ["round", "label", "n_examples", "n_predicted", "accuracy"]
    assert table["label"].tolist() == [*range(10)] * 2
    for number, own in table.groupby("round"):
        assert own["n_examples"].sum() == own["n_predicted"].sum() == 360
        right = (own["accuracy"] * own["n_examples"]).sum()
        test = rounds.set_index("round")["test_accuracy"][number]
        assert right / 360 == pytest.approx(test, abs=1e-12)


def test_without_classes() -> None:
    """Next tokens are no classes of examples."""
    with pytest.raises(InputError, match=r"evaluation\.classes: true counts the examples of each class, but"):
        build(whole_toy(**{**NEXT_TOKEN, "evaluation": {"classes": True}}))
