"""Metrics: derived by hand, equal to scikit-learn's, and exact however the examples are divided."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from rounds import play
from sklearn import metrics as sk
from toys import NEXT_TOKEN, REGRESSION, toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.config.build import build
from distreal_sim.data.datasets import IGNORED
from distreal_sim.recipe.metrics import Metric
from distreal_sim.recipe.metrics.accuracy import Accuracy
from distreal_sim.recipe.metrics.auroc import Auroc
from distreal_sim.recipe.metrics.macro_f1 import MacroF1
from distreal_sim.recipe.metrics.mae import Mae
from distreal_sim.recipe.metrics.perplexity import Perplexity
from distreal_sim.recipe.metrics.r2 import R2
from distreal_sim.recipe.metrics.top_k import TopK
from distreal_sim.recipe.scoring import Scoring
from distreal_sim.recipe.tasks.classification import Classification


def measured(metric: Metric, outputs: torch.Tensor, y: torch.Tensor, cuts: tuple[int, ...] = ()) -> float:
    """The value from the statistics of the parts that begin at the cuts."""
    bounds = [0, *cuts, len(y)]
    parts = [metric.statistics(outputs[a:b], y[a:b]) for a, b in pairwise(bounds)]
    return metric.value(metric.join(parts))


def example(targets: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random outputs, rounded so that some are equal, and targets for 40 examples with 4 outputs."""
    torch.manual_seed(3)
    outputs = torch.randn(40, 4).mul(4).round().div(4)
    if targets == "class":
        return outputs, torch.randint(0, 4, (40,))
    if targets == "values":
        return outputs, torch.randn(40, 4) + 1000
    if targets == "marks":
        return outputs, (torch.rand(40, 4) < 0.4).to(torch.uint8)
    y = torch.randint(0, 4, (40, 3))
    y[5:9, 1:] = IGNORED
    return torch.randn(40, 3, 4), y


CASES = [(name, targets) for name in names(Metric) for targets in load(Metric, name).targets]  # type: ignore[type-abstract]


@pytest.mark.parametrize(("name", "targets"), CASES)
def test_parts_give_the_whole(name: str, targets: str) -> None:
    """One part, four parts of which one is a single example, and one example at a time."""
    metric: Metric = load(Metric, name)()  # type: ignore[type-abstract]
    outputs, y = example(targets)
    whole = measured(metric, outputs, y)
    assert math.isfinite(whole)
    for cuts in ((13, 14, 30), tuple(range(1, 40))):
        assert measured(metric, outputs, y, cuts) == pytest.approx(whole, rel=1e-12)


def test_against_scikit_learn() -> None:
    scores, y = example("class")
    labels, probabilities = y.numpy(), scores.double().softmax(1).numpy()
    best = scores.argmax(1).numpy()
    assert measured(Accuracy(), scores, y) == sk.accuracy_score(labels, best)
    assert measured(MacroF1(), scores, y) == pytest.approx(
        sk.f1_score(labels, best, average="macro"), rel=1e-12
    )
    area = sk.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert measured(Auroc(), scores, y) == pytest.approx(area, rel=1e-12)
    loss = sk.log_loss(labels, probabilities)
    assert measured(Perplexity(), scores, y) == pytest.approx(math.exp(loss), rel=1e-12)
    exact = torch.randn(40, 4)  # without equal scores, of which either may be among the best
    found = sk.top_k_accuracy_score(labels, exact.numpy(), k=2)
    assert measured(TopK(k=2), exact, y) == pytest.approx(found, rel=1e-12)
    odds, marks = example("marks")
    applies, given = marks.numpy(), odds.numpy()
    assert measured(Auroc(), odds, marks) == pytest.approx(sk.roc_auc_score(applies, given), rel=1e-12)
    f1 = sk.f1_score(applies, given > 0, average="macro")
    assert measured(MacroF1(), odds, marks) == pytest.approx(f1, rel=1e-12)
    outputs, values = example("values")
    pair = values.double().numpy(), outputs.double().numpy()
    assert measured(Mae(), outputs, values) == pytest.approx(sk.mean_absolute_error(*pair), rel=1e-12)
    assert measured(R2(), outputs, values) == pytest.approx(sk.r2_score(*pair), rel=1e-12)


def test_auroc_by_hand() -> None:
    """Positives 3 and 1, negatives 1 and 0: of four pairs three are right and one is equal, so 7/8."""
    odds = torch.tensor([[3.0], [1.0], [1.0], [0.0]])
    marks = torch.tensor([[1], [1], [0], [0]], dtype=torch.uint8)
    assert measured(Auroc(), odds, marks) == 7 / 8
    assert math.isnan(measured(Auroc(), odds, torch.ones_like(marks)))


def test_macro_f1_by_hand() -> None:
    """Labels 0 0 1, answers 0 1 1, and class 2 is nowhere: F1 of 2/3 and of 2/3. Labels 0 0 0, answers 0 0 1:
    4/5, and 0 for class 1, which no example has but which was answered.
    """
    scores = torch.eye(3)[[0, 1, 1]]
    assert measured(MacroF1(), scores, torch.tensor([0, 0, 1])) == pytest.approx(2 / 3, rel=1e-12)
    scores = torch.eye(3)[[0, 0, 1]]
    assert measured(MacroF1(), scores, torch.tensor([0, 0, 0])) == pytest.approx(4 / 5 / 2, rel=1e-12)


def test_r2_by_hand() -> None:
    """y 1, 2, 3 and answers 1, 2, 4: 1 - 1/2. The second value is always 7 and is left out. Far from 0 it is
    the same: sums of squares of 1e6 + y would have lost the digits.
    """
    y = torch.tensor([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    outputs = torch.tensor([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    assert measured(R2(), outputs, y, (1, 2)) == pytest.approx(0.5, rel=1e-12)
    assert measured(R2(), outputs + 1e6, y + 1e6, (1, 2)) == pytest.approx(0.5, rel=1e-9)
    assert math.isnan(measured(R2(), outputs[:, 1:], y[:, 1:]))


def test_tokens_that_are_not_asked_for() -> None:
    """Four places, one of them not asked: of three tokens two are right, with probability 3/4."""
    scores = torch.tensor([[[3.0, 1.0]] * 2, [[1.0, 3.0]] * 2], dtype=torch.float64).log()
    y = torch.tensor([[0, 1], [1, IGNORED]])
    assert measured(Accuracy(), scores, y) == pytest.approx(2 / 3, rel=1e-12)
    assert measured(TopK(k=2), scores, y) == 1.0
    expected = math.exp((2 * math.log(4 / 3) + math.log(4)) / 3)
    assert measured(Perplexity(), scores, y) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(measured(Accuracy(), scores, torch.full((2, 2), IGNORED)))


def test_scores_by_name() -> None:
    """Metrics in their order, then the loss; parts are joined in order."""
    scoring = Scoring(Classification(), (Accuracy(), TopK(k=2)))
    scores, y = (
        torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 4.0]], dtype=torch.float64).log(),
        torch.tensor([2, 2]),
    )
    found = scoring.values(
        scoring.join([scoring.statistics(scores[i : i + 1], y[i : i + 1]) for i in (0, 1)])
    )
    assert list(found) == list(scoring.better) == ["accuracy", "top_2", "loss"]
    assert found == {"accuracy": 0.5, "top_2": 1.0, "loss": pytest.approx((math.log(3) + math.log(2)) / 2)}


@pytest.mark.parametrize(
    ("metrics", "changes", "expected"),
    [
        (
            ["mae"],
            {},
            "evaluation.metrics: mae cannot be measured where y holds one class for each example; those that "
            "can: accuracy, auroc, macro_f1, perplexity, top_k",
        ),
        (
            ["accuracy"],
            REGRESSION,
            "evaluation.metrics: accuracy cannot be measured where y holds values for each example; those "
            "that can: mae, r2",
        ),
        (["accuracy", "accuracy"], {}, "evaluation.metrics: two scores are called accuracy; name each once"),
    ],
)
def test_what_cannot_be_measured(metrics: list[str], changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        build(toy(method="fedavg", evaluation={"metrics": metrics}, **changes))
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("metric", "possible", "impossible"),
    [
        (Accuracy(), [0.8, 1.0], [0.0, 80.0]),
        (Perplexity(), [20.0], [1.0, 0.5]),
        (Mae(), [40.0], [0.0, -1.0]),
        (R2(), [0.5, -2.0], [1.5]),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else None,
)
def test_targets_are_values_of_the_first_metric(
    metric: Metric, possible: list[float], impossible: list[float]
) -> None:
    scoring = Scoring(Classification(), (metric, TopK(k=2)))
    scoring.check_targets(possible)
    for target in impossible:
        with pytest.raises(InputError, match=f"target {target:g} is no value of {metric.column}, the first"):
            scoring.check_targets([target])


def test_columns_of_a_round() -> None:
    """The metrics of the config; HeteroFL's largest part too. A score is an attribute of the row."""
    evaluation = {"metrics": [{"name": "top_k", "k": 3}, "auroc"]}
    (row,) = play(1, evaluation=evaluation, method={"name": "heterofl"}).rounds
    names = ["top_3", "auroc", "loss"]
    assert list(row.scores) == [f"{which}_{name}" for which in ("test", "submodel") for name in names]
    assert row.test_top_3 == row.scores["test_top_3"] > 0
    with pytest.raises(AttributeError, match="no column 'test_accuracy'; its scores: test_top_3"):
        row.test_accuracy  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "names"),
    [(REGRESSION, ["mae", "r2", "loss"]), (NEXT_TOKEN, ["accuracy", "perplexity", "loss"])],
    ids=["regression", "next_token"],
)
def test_metrics_of_a_task(changes: dict[str, Any], names: list[str]) -> None:
    """Without a choice the task's own; perplexity is exp of the loss."""
    (row,) = play(1, method={"name": "fedavg"}, **changes).rounds
    scores = {name: row.scores[f"test_{name}"] for name in names}
    assert list(row.scores)[:3] == [f"test_{name}" for name in names]
    assert all(value is not None and np.isfinite(value) for value in scores.values())
    if changes is NEXT_TOKEN:
        assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"] or 0), rel=1e-9)
