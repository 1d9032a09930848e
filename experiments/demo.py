"""Figure and numbers of the demo in lab/results.md, from the points of the figure.

python experiments/demo.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from curves import interval, late, runs_of  # noqa: E402

from distreal_sim.results.plots.accuracy import accuracy  # noqa: E402

POINTS = HERE.parent / "docs" / "figures" / "digits.csv"
RIVAL = "fedavg-partial"
LAST = 5
TARGETS = (0.8, 0.9)
METHODS = {
    "fedavg-drop": "fedavg",
    "fedavg-partial": "fedavg",
    "small": "small",
    "heterofl": "heterofl",
    "distreal": "distreal",
    "distreal-ordered": "distreal",
}
"""Labels in the order of the legend, and the method of each."""


def main() -> None:
    """Draws the figure, prints the texts."""
    accuracy(runs_of(pd.read_csv(POINTS), METHODS), targets=TARGETS, out=POINTS.with_suffix(".png"))
    print("\n".join(texts()))


def texts() -> list[str]:
    """Rows of the table, best first."""
    table = pd.read_csv(POINTS)
    finals = finals_of(table)
    rows = []
    for name, own in finals.items():
        minus = "" if name == RIVAL else interval(own - finals[RIVAL], "+.3f")
        cells = [name, interval(own, ".3f"), minus]
        for target in TARGETS:
            there = seconds(table, name, target)
            some = f"{len(there)} of {len(own)} seeds" if len(there) else "not reached"
            cells.append(interval(there, ".0f") if len(there) == len(own) else some)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def finals_of(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """(seeds,) final accuracy of each method, that of highest mean first."""
    finals = {str(name): late(part, LAST) for name, part in table.groupby("method")}
    return dict(sorted(finals.items(), key=lambda item: -item[1].mean()))


def seconds(table: pd.DataFrame, method: str, target: float) -> np.ndarray:
    """Simulated seconds to the first evaluation of at least the target, of the seeds that have one."""
    rows = table[(table["method"] == method) & (table["accuracy"] >= target)]
    return rows.groupby("seed")["sim_s"].min().to_numpy(dtype=float)


if __name__ == "__main__":
    main()
