"""Figure and tables of the comparison on CIFAR-10 in lab/results.md, from results.csv.

python experiments/cifar10/figures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import SHOWN, by_seed, draw, half_width, load, markdown  # noqa: E402

from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402

FIGURE = HERE.parents[1] / "lab" / "figures" / "cifar10_methods.png"
BASELINES = ("small", "ordered-distreal")
SHARES = (0.2, 1.0)
"""Short and long horizon, as shares of the run."""
LAST = 2
"""Evaluations that are averaged: with ten clients a round a single one depends much on its cohort."""
UNIT_S = 3600.0


def main() -> None:
    """Writes the figure, prints the tables."""
    table = load(HERE / "results.csv")
    methods = [name for name in SHOWN if name in set(table["method"])]
    for share in SHARES:
        end = table["round"].max() * share
        print(f"after round {end:.0f}, {table['seed'].nunique()} seeds\n")
        print(markdown(["method", "accuracy", *(f"minus {b}" for b in BASELINES)], rows(table, methods, end)))
        print()
    last = table[table["round"] == table["round"].max()]
    used = last.assign(share=last["macs"] / last["macs_available"]).groupby("method")["share"].mean()
    limited = [m for m in methods if m != "full"]
    print(markdown(["method", "MACs used / offered"], [[m, f"{used[m]:.2f}"] for m in limited]))
    with look():
        figure = Figure(figsize=(5.6, 4.0))
        axes = figure.subplots()
        draw(axes, table, UNIT_S, 1.0)
        axes.set(xlabel="Simulated time (h)", ylabel="Test accuracy")
        legend_above(figure, *axes.get_legend_handles_labels())
        save(figure, FIGURE)


def rows(table: pd.DataFrame, methods: list[str], end: float) -> list[list[str]]:
    """Of each method the accuracy after a round, and the differences to the baselines paired by seed."""
    found = []
    values = {name: after(table, name, end) for name in methods}
    for name in methods:
        row = [name, interval(values[name], ".3f")]
        row += ["" if name == b else interval(values[name] - values[b], "+.3f") for b in BASELINES]
        found.append(row)
    return found


def after(table: pd.DataFrame, method: str, round_number: float) -> np.ndarray:
    """(seeds,) mean accuracies of the last evaluations up to a round."""
    part = table[(table["method"] == method) & (table["round"] <= round_number)]
    return by_seed(part)[1][:, -LAST:].mean(axis=1)


def interval(values: np.ndarray, form: str) -> str:
    """Mean and half width of the 95 % t interval."""
    return f"{format(values.mean(), form)} ± {half_width(values):.3f}"


if __name__ == "__main__":
    main()
