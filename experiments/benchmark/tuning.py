"""Choice of a method's learning rate, and of its other tuned keys, on held-out training examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scenario import RATES

KEYS = ("lr", "tuned")
"""Columns that identify a point of the grid; tuned: the other keys as JSON, empty where there are none."""


@dataclass(frozen=True)
class Chosen:
    """The best point. at_edge: in words, whether a value beyond those tried might be better; empty if not."""

    lr: float
    tuned: dict[str, Any]
    accuracy: float
    at_edge: str


def tuned(rates: Sequence[float], measure: Callable[[Sequence[float]], pd.DataFrame]) -> pd.DataFrame:
    """The whole grid: it grows by a rate as long as its best one is its smallest or its largest.

    measure: for rates, the runs at all of them, with the columns lr, tuned, seed and accuracy.
    """
    rates = sorted(rates)
    while True:
        grid = measure(rates)
        wanted = beyond(rates, choose(grid).lr)
        if wanted is None:
            return grid
        rates = sorted([*rates, wanted])


def beyond(rates: Sequence[float], best: float) -> float | None:
    """The next rate beyond an edge where the best one stands; None inside, and at the end of RATES."""
    if best == max(rates):
        return min((rate for rate in RATES if rate > best * 1.01), default=None)
    if best == min(rates):
        return max((rate for rate in RATES if rate < best * 0.99), default=None)
    return None


def named(grid: pd.DataFrame) -> pd.DataFrame:
    """The grid of a CSV, where an empty text is a missing value."""
    return grid.assign(tuned=grid["tuned"].astype(object).fillna(""))


def choose(grid: pd.DataFrame) -> Chosen:
    """The point of highest mean accuracy over the seeds; of equal ones that with the smaller rate."""
    means = named(grid).groupby(list(KEYS), as_index=False)["accuracy"].mean()
    best = means.sort_values(["accuracy", "lr"], ascending=[False, True]).iloc[0]
    rates = means["lr"]
    edges = []
    if best["lr"] in (rates.min(), rates.max()) and rates.nunique() > 1:
        edges.append("lr")
    keys = json.loads(best["tuned"]) if best["tuned"] else {}
    for key, value in keys.items():
        tried = [json.loads(text)[key] for text in means["tuned"].unique()]
        numbers = [other for other in tried if isinstance(other, int | float)]
        if value in numbers and value in (min(numbers), max(numbers)) and len(set(numbers)) > 1:
            edges.append(key)
    return Chosen(float(best["lr"]), keys, float(best["accuracy"]), ", ".join(edges))
