"""Golden tables: what a few rounds of the toy experiment gave with each method when its table was written.

A table is tests/methods/goldens/<method>.csv or <method>-<variant>.csv; its first line says which top-level
keys of the experiment (BASE over toys.TOY) are replaced, as JSON. To write one, or to rewrite it after a
change that was meant:

    .venv/bin/python tests/goldens.py fedprox
    .venv/bin/python tests/goldens.py fedrolex-down '{"method": {"direction": "down"}}'

The second form is for a new variant or new replacements. Without arguments all tables are rewritten.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from toys import toy, toy_fleet

from distreal_sim.simulation.rounds import Progress, Simulation, play_round, start

FOLDER = Path(__file__).parent / "methods" / "goldens"

BASE: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "local": {"epochs": 2, "batch_size": 8, "lr": 0.1, "optimizer": {"weight_decay": 0.001}},
    "profile": {"name": "markov", "levels": [0.1, 0.3, 1.5, 4.0], "changes_per_round": 0.5},
    "evaluation": {},
}
"""Clients so unequal that some finish the full network in time and some cannot begin with it."""

EXACT = ("round", "n_completed", "n_partial", "n_dropped", "macs", "download_bytes", "upload_bytes")
"""Integers, the same on every machine: they depend on costs and capacities only."""

ROUNDED = ("sim_s", "test_accuracy", "test_loss", "train_loss")

Row = dict[str, float]


class _NoRecords:
    def write(self, row: Any, rows: list[Any], timing: Any) -> None:
        pass

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        pass


def method_of(name: str) -> str:
    """The method's name in a table's."""
    return name.partition("-")[0]


def read(name: str) -> tuple[dict[str, Any], list[Row]]:
    """The replaced keys and the rows of a table."""
    head, *lines = (FOLDER / f"{name}.csv").read_text().splitlines()
    return json.loads(head.removeprefix("# ")), [
        {column: float(cell) for column, cell in row.items()} for row in csv.DictReader(lines)
    ]


def compute(name: str, changes: dict[str, Any], rounds: int | None = None) -> list[Row]:
    """The rows as they come out now; rounds: so many of them, all by default."""
    method = {"name": method_of(name), **changes.get("method", {})}
    experiment = toy(**{**BASE, **changes, "method": method})
    task, fleet = toy_fleet(experiment)
    progress = start(experiment, task)
    rows = []
    for _ in range(rounds or experiment.rounds):
        progress, row = play_round(Simulation(experiment, task, fleet, _NoRecords()), progress)
        columns = {c: getattr(row, c) for c in (*EXACT, *ROUNDED)}
        rows.append({c: math.nan if value is None else value for c, value in columns.items()})
    return rows


def write(name: str, changes: dict[str, Any]) -> None:
    """Computes and writes a table."""
    rows = compute(name, changes)
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.csv").open("w", newline="") as file:
        file.write(f"# {json.dumps(changes)}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*EXACT, *ROUNDED])
        table.writerows([*(row[c] for c in EXACT), *(f"{row[c]:.7g}" for c in ROUNDED)] for row in rows)


def names() -> list[str]:
    """Every table there is."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for wanted in sys.argv[1:2] or names():
        given = json.loads(sys.argv[2]) if sys.argv[2:] else None
        known = (FOLDER / f"{wanted}.csv").exists()
        write(wanted, given if given is not None else read(wanted)[0] if known else {})
