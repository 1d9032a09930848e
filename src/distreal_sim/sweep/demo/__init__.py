"""The demonstration: FedAvg, its rivals and DISTREAL on handwritten digits that scikit-learn holds.

`demo.yaml` is the sweep, `digits.yaml` the experiment that it varies; both are part of the package, so that
an installed wheel has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from distreal_sim.results.compare import compare
from distreal_sim.results.runs import Run

SWEEP = Path(__file__).parent / "demo.yaml"
EXPERIMENT = Path(__file__).parent / "digits.yaml"

N_LAST = 5
"""Evaluations whose mean is the final accuracy: the test set has 360 examples, so that one alone is noisy."""


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """The points of the figure: one row per run and evaluation.

    Columns: method (the label), seed, round, sim_s, accuracy.
    """
    columns = ["method", "seed", "round", "sim_s", "accuracy"]
    tables = [run.evaluated.assign(method=run.label, seed=run.seed)[columns] for run in runs]
    return pd.concat(tables, ignore_index=True)


def verdict(runs: Sequence[Run], target: float) -> list[str]:
    """Two lines for people: who ends with the highest accuracy and by how much, and who reaches the target.

    Means over seeds, with half-widths of 95 % t-intervals; differences are paired by seed.
    """
    finals = compare(runs, [target])
    best = str(finals["method"].iloc[int(finals["final_accuracy"].argmax())])
    table = compare(runs, [target], best).sort_values("final_accuracy", ascending=False)
    winner, *others = table.to_dict("records")
    accuracy = _interval(winner["final_accuracy"], winner["final_accuracy_ci95"])
    gaps = [f"{o['method']} {_interval(o['difference'], o['difference_ci95'], sign='+')}" for o in others]
    return [
        f"highest final accuracy: {best}, {accuracy}; the others minus it: {', '.join(gaps) or 'none'}",
        _times(table, target),
    ]


def _times(table: pd.DataFrame, target: float) -> str:
    key = f"sim_s_to_{target:g}"
    everywhere = table[f"reached_{target:g}"] == table["seeds"].map(lambda n: f"{n} of {n}")
    rows = table[everywhere].sort_values(key).to_dict("records")
    times = [f"{row['method']} {_interval(row[key], row[f'{key}_ci95'], digits=0)} s" for row in rows]
    return f"{target:g} reached in all seeds, in simulated time: {', '.join(times) or 'none'}"


def _interval(mean: float, half: float, digits: int = 3, sign: str = "") -> str:
    width = "" if math.isnan(half) else f" ± {half:.{digits}f}"
    return f"{mean:{sign}.{digits}f}{width}"
