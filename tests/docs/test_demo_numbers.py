"""The numbers of the demo's table, computed again from the points of its figure."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parent.parent.parent
POINTS = pd.read_csv(ROOT / "docs" / "figures" / "digits.csv")
RESULTS = (ROOT / "lab" / "results.md").read_text()
DEMO = RESULTS.partition("## Digits: the demo")[2].partition("\n## ")[0]


def interval(values: pd.Series[float], digits: int) -> str:
    """Mean and half-width of the 95 % t interval over the seeds."""
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"


def finals(method: str) -> pd.Series[float]:
    """By seed: mean accuracy of the last five evaluations."""
    rows = POINTS[POINTS["method"] == method].sort_values("round")
    return rows.groupby("seed")["accuracy"].apply(lambda a: a.iloc[-5:].mean())


def times(method: str, target: float) -> pd.Series[float]:
    """By seed: simulated seconds at the first evaluation of at least the target, where there is one."""
    rows = POINTS[(POINTS["method"] == method) & (POINTS["accuracy"] >= target)]
    return rows.groupby("seed")["sim_s"].min()


def test_points() -> None:
    """Six methods, seeds 1 to 5, tested after each of 60 rounds of 10 s."""
    runs = POINTS.groupby(["method", "seed"])
    assert runs.ngroups == 30
    assert set(POINTS["seed"]) == {1, 2, 3, 4, 5}
    for _, run in runs:
        assert run["round"].tolist() == list(range(1, 61))
        assert (run["sim_s"] == 10 * run["round"]).all()


def test_who_is_ahead() -> None:
    """The method that the text says is first has the highest mean, and the others follow in its order."""
    means = {str(method): finals(str(method)).mean() for method in set(POINTS["method"])}
    order = sorted(means, key=lambda method: -means[method])
    assert order == ["fedavg-partial", "distreal-ordered", "distreal", "heterofl", "fedavg-drop", "small"]
    listed = re.findall(r"^\| ([a-z-]+) \| [01]\.\d{3} ± ", DEMO, re.MULTILINE)
    assert listed == order


@pytest.mark.parametrize("method", sorted(set(POINTS["method"])))
def test_table(method: str) -> None:
    """The row of a method in lab/results.md."""
    cells = [method, interval(finals(method), 3)]
    ahead = finals("fedavg-partial")
    cells.append("" if method == "fedavg-partial" else interval(finals(method) - ahead, 3))
    for target in (0.8, 0.9):
        there = times(method, target)
        some = f"{len(there)} of 5 seeds" if len(there) else "not reached"
        cells.append(interval(there, 0) if len(there) == 5 else some)
    assert "| " + " | ".join(cells).replace("|  |", "| |") + " |" in DEMO
