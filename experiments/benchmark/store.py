"""The tables of the results: the tuning grid, and the evaluations of the reported runs, a CSV each; and the
settings that each method's rows were made with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from distreal_sim.base.errors import InputError
from distreal_sim.results.protocols import FURTHER_COSTS
from distreal_sim.results.runs import Run

SUMS = ("macs", "macs_available", "download_bytes", "upload_bytes", "n_selected", "n_completed", "n_partial")
"""Columns that count since round 1."""

TABLES = ("tuning.csv", "evaluations.csv", "conditions.csv")
SETTINGS = "settings.json"
"""Beside the tables: by method its keys (`set`), its tuned keys and their values (`tune`), and the content of
its front where that is a file.
"""


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
    _write(path, rows.sort_values("method", kind="stable"))


def check_settings(folder: Path, method: str, settings: Mapping[str, Any], *, tuning: bool) -> None:
    """Raises InputError unless the method's rows in the tables of `folder` were made with these settings.

    tuning: the tuned keys are compared too. Nothing to compare where the tables have no such rows.
    """
    if not any((pd.read_csv(path, usecols=["method"])["method"] == method).any() for path in _tables(folder)):
        return
    stored = _stored(folder).get(method)
    advice = "take another --label, or make them again with `run --replace`"
    if stored is None:
        raise InputError(
            f"{folder} has rows of '{method}', but {SETTINGS} there has no settings of it; {advice}"
        )
    parts = ("set", "tune", "front") if tuning else ("set", "front")
    before, now = ({part: _plain(told.get(part)) for part in parts} for told in (stored, settings))
    if before != now:
        differing = [part for part in parts if before[part] != now[part]]
        told = "; ".join(
            f"{part} {json.dumps(before[part])}, now {json.dumps(now[part])}" for part in differing
        )
        raise InputError(
            f"{folder} has rows of '{method}' that were made with other settings: {told}; {advice}"
        )


def keep_settings(folder: Path, method: str, settings: Mapping[str, Any]) -> None:
    """Writes down what a method's rows are made with; methods are sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {**_stored(folder), method: settings}
    (folder / SETTINGS).write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def drop(folder: Path, method: str) -> None:
    """Takes a method's rows out of all tables; a table without rows is removed."""
    for path in _tables(folder):
        before = pd.read_csv(path)
        rows = before[before["method"] != method]
        if rows.empty:
            path.unlink()
        else:
            _write(path, rows)


def _tables(folder: Path) -> list[Path]:
    return [path for name in TABLES if (path := folder / name).exists()]


def _write(path: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def _stored(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known


def _plain(value: Any) -> Any:
    """As it is read back from a file."""
    return json.loads(json.dumps(value))
