"""Tables of measured costs in lab/results.md, from cost.json and results.csv.

python experiments/measured_costs/tables.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import between, interval, late, load  # noqa: E402

from distreal_sim.thinning.measured.file import read_costs  # noqa: E402

HETEROFL = ("8 16 32", "4 8 16", "2 4 8", "1 2 4")
"""Kept channels of HeteroFL's levels, but for the full one."""

N_SHOWN = 5
"""Entries of the front that are shown, evenly spread."""

LAST = 5
"""Evaluations over which the final accuracy is averaged."""

TARGET = 0.9


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the tables, and parts of sentences."""
    table = shares()
    of_round = [row for row in table if row[0] != REDRAWN]
    times = [100 - 100 * float(row[3].split()[0]) for row in of_round]
    macs = [100 - 100 * float(row[2]) for row in of_round]
    return [
        *(f"| {' | '.join(row)} |" for row in table),
        *ranking(load(HERE / "results.csv")),
        f"save {between(times, '.0f')} % of the time and lose {between(macs, '.0f')} % of the MACs",
    ]


REDRAWN = "filters redrawn in every step"


def shares() -> list[tuple[str, str, str, str]]:
    """Share of MACs and of time of some levels."""
    rows = []
    for level in read_costs(HERE / "cost.json").levels:
        if level.key.network != level.key.model:
            how = "`small`"
        elif level.key.redrawn:
            how = REDRAWN
        elif level.macs_share == 1:
            how = "full"
        else:
            how = "filters kept for a round"
        time = f"{float(level.time_share):.2f} ({level.low:.2f} to {level.high:.2f})"
        rows.append((level.macs_share, how, " ".join(map(str, level.key.kept)), time))
    drawn = sorted(row for row in rows if row[1] == REDRAWN)
    chosen = [drawn[round(place * (len(drawn) - 1) / (N_SHOWN - 1))] for place in range(N_SHOWN)]
    kept = sorted(row for row in rows if row not in drawn and row[1] != "full")
    kept = [row for row in kept if row[1] == "`small`" or row[2] in HETEROFL]
    return [(how, counts, f"{macs:.3f}", time) for macs, how, counts, time in (*kept, *chosen)]


def ranking(table: pd.DataFrame) -> list[str]:
    """Final accuracy and simulated time to the target with both costs, best first by time."""
    rows = []
    for method, of_method in table.groupby("method", sort=False):
        cells = [str(method)]
        for cost in ("macs", "time"):
            runs = of_method[of_method["cost"] == cost].sort_values(["seed", "round"])
            final = late(runs, LAST)
            cells.append(interval(final, ".3f"))
            reached = runs[runs["accuracy"] >= TARGET].groupby("seed")["sim_s"].min()
            n_seeds = runs["seed"].nunique()
            every = len(reached) == n_seeds
            cells.append(f"{reached.mean():.0f}" if every else f"{len(reached)} of {n_seeds} seeds")
            rank = final.mean()
        rows.append((-rank, cells))
    return [f"| {' | '.join(cells)} |" for _, cells in sorted(rows)]


if __name__ == "__main__":
    print("\n".join(texts()))
