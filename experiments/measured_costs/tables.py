"""Tables of measured costs in lab/results.md, from cost.json and results.csv.

python experiments/measured_costs/tables.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import half_width, load, markdown  # noqa: E402

from distreal_sim.costs.file import read_costs  # noqa: E402

HETEROFL = ("8 16 32", "4 8 16", "2 4 8", "1 2 4")
"""Kept channels of HeteroFL's levels, but for the full one."""

N_SHOWN = 5
"""Entries of the front that are shown, evenly spread."""

LAST = 5
"""Evaluations over which the final accuracy is averaged."""

TARGET = 0.9


def main() -> None:
    """Prints the tables."""
    print(shares())
    print()
    print(ranking(load(HERE / "results.csv")))


def shares() -> str:
    """Share of MACs and of time of some levels."""
    rows = []
    for level in read_costs(HERE / "cost.json").levels:
        if level.key.network != level.key.model:
            how = "`small`"
        elif level.key.redrawn:
            how = "filters redrawn in every step"
        elif level.macs_share == 1:
            how = "full"
        else:
            how = "filters kept for a round"
        time = f"{float(level.time_share):.2f} ({level.low:.2f} to {level.high:.2f})"
        rows.append((level.macs_share, how, " ".join(map(str, level.key.kept)), time))
    drawn = sorted(row for row in rows if row[1].endswith("step"))
    chosen = [drawn[round(place * (len(drawn) - 1) / (N_SHOWN - 1))] for place in range(N_SHOWN)]
    kept = sorted(row for row in rows if row not in drawn and row[1] != "full")
    kept = [row for row in kept if row[1] == "`small`" or row[2] in HETEROFL]
    text = [(how, counts, f"{macs:.3f}", time) for macs, how, counts, time in (*kept, *chosen)]
    return markdown(["steps", "kept channels of 16 32 64", "MACs", "time (quartiles)"], text)


def ranking(table: pd.DataFrame) -> str:
    """Final accuracy and simulated time to the target with both costs, best first by time."""
    rows = []
    for method, of_method in table.groupby("method", sort=False):
        cells = [str(method)]
        for cost in ("macs", "time"):
            runs = of_method[of_method["cost"] == cost].sort_values(["seed", "round"])
            final = runs.groupby("seed")["accuracy"].apply(lambda values: values.tail(LAST).mean()).to_numpy()
            cells.append(f"{final.mean():.3f} ± {half_width(final):.3f}")
            reached = runs[runs["accuracy"] >= TARGET].groupby("seed")["sim_s"].min()
            n_seeds = runs["seed"].nunique()
            every = len(reached) == n_seeds
            cells.append(f"{reached.mean():.0f}" if every else f"{len(reached)} of {n_seeds} seeds")
            rank = final.mean()
        rows.append((-rank, cells))
    heads = ["method", "accuracy, MACs", f"s to {TARGET:g}", "accuracy, time", f"s to {TARGET:g}"]
    return markdown(heads, [cells for _, cells in sorted(rows)])


if __name__ == "__main__":
    main()
