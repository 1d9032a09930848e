"""Keeps what the figures of an experiment need of its sweep, in one small table.

    python experiments/collect.py runs/heterogeneity experiments/heterogeneity/results.csv

One row per run and evaluation: the swept keys, seed, round, simulated seconds, test_accuracy (or another
score), submodel_accuracy where the run has it, and since round 1 the MACs used and offered and the numbers
of clients that were selected, completed their work, or did part of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

SUMS = ["macs", "macs_available", "n_selected", "n_completed", "n_partial"]


def main() -> None:
    """Writes the table; refuses a sweep that is not finished."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=Path, help="directory of a finished sweep")
    parser.add_argument("out", type=Path, help="the table, a .csv")
    parser.add_argument("--score", default="accuracy", help="the score that is kept")
    options = parser.parse_args()
    runs = pd.read_csv(options.sweep / "sweep.csv", dtype=str)
    if (runs["status"] != "finished").any():
        raise SystemExit(f"{(runs['status'] != 'finished').sum()} runs of {options.sweep} are not finished")
    keys = list(runs.columns[1 : runs.columns.get_loc("seed") + 1])  # between label and status
    tables = [
        evaluations(options.sweep / run["hash"], options.score).assign(**{key: run[key] for key in keys})
        for _, run in runs.iterrows()
    ]
    table = pd.concat(tables)[[*keys, *kept(options.score)]]
    table.to_csv(options.out, index=False, float_format="%.6g", lineterminator="\n")
    print(f"{options.out}: {len(runs)} runs, {len(table)} rows")


def kept(score: str) -> list[str]:
    """The columns of rounds.csv that are kept."""
    return ["round", "sim_s", f"test_{score}", f"submodel_{score}", *SUMS]


def evaluations(run: Path, score: str = "accuracy") -> pd.DataFrame:
    """The rounds of a run after which it was tested."""
    rounds = pd.read_csv(run / "rounds.csv")
    rounds[SUMS] = rounds[SUMS].cumsum()
    return rounds.loc[rounds[f"test_{score}"].notna(), kept(score)]


if __name__ == "__main__":
    main()
