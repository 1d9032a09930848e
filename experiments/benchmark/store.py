"""The tables of the results: the tuning grid, and the evaluations of the reported runs, a CSV each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from distreal_sim.base.errors import InputError
from distreal_sim.results.protocols import FURTHER_COSTS
from distreal_sim.results.runs import Run

SUMS = ("macs", "macs_available", "download_bytes", "upload_bytes", "n_selected", "n_completed", "n_partial")
"""Columns that count since round 1."""


def evaluations(runs: Sequence[Run]) -> pd.DataFrame:
    """(runs x evaluations) seed, round, sim_s, accuracy, full_accuracy and the sums so far."""
    sums_of = [*SUMS, *(cost for cost in FURTHER_COSTS if all(cost in run.rounds for run in runs))]
    tables = []
    for run in runs:
        rows = run.evaluated[["round", "sim_s", "accuracy"]].assign(seed=run.seed)
        rows = rows.assign(full_accuracy=run.evaluated["test_accuracy"])
        sums = run.rounds[sums_of].cumsum().loc[rows.index]
        tables.append(pd.concat([rows, sums], axis=1))
    columns = ["seed", "round", "sim_s", "accuracy", "full_accuracy", *sums_of]
    return pd.concat(tables, ignore_index=True)[columns]


def tuned_before(path: Path, method: str) -> pd.DataFrame:
    """A method's tuning grid in the table at `path`. Raises InputError where there is none."""
    return _of_method(path, method)


def placed_before(path: Path, method: str, seeds: Sequence[int]) -> pd.DataFrame:
    """A method's evaluations with `seeds` in the table at `path`. Raises InputError where there are none."""
    own = _of_method(path, method).drop(columns="method")
    return own[own["seed"].isin(seeds)]


def _of_method(path: Path, method: str) -> pd.DataFrame:
    """The rows of a method in the table at `path`. Raises InputError where there are none."""
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"method": []})
    if method not in set(table["method"]):
        known = sorted(set(table["method"]))
        raise InputError(
            f"{path} has no method '{method}': `run` comes first (there: {', '.join(known) or 'none'})"
        )
    return table[table["method"] == method]


def put(path: Path, rows: pd.DataFrame, method: str) -> None:
    """Replaces a method's rows in the table at `path`; methods are sorted."""
    rows = rows.copy()
    rows.insert(0, "method", method)
    if path.exists():
        before = pd.read_csv(path)
        rows = pd.concat([before[before["method"] != method], rows], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = rows.sort_values("method", kind="stable")
    rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
