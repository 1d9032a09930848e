"""Figure and numbers of the experiments on CIFAR-10 in lab/results.md, from the tables here.

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

from curves import SHOWN, draw, interval, late, load, used_share  # noqa: E402

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
    """Writes the figure, prints the texts."""
    print("\n".join(texts()))
    table = load(HERE / "results.csv")
    with look():
        figure = Figure(figsize=(5.6, 4.0))
        axes = figure.subplots()
        draw(axes, table, UNIT_S, 1.0)
        axes.set(xlabel="Simulated time (h)", ylabel="Test accuracy")
        legend_above(figure, *axes.get_legend_handles_labels())
        save(figure, FIGURE)


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the tables, and parts of sentences."""
    table = load(HERE / "results.csv")
    methods = [name for name in SHOWN if name in set(table["method"])]
    found = []
    for share in SHARES:
        found += rows(table, methods, table["round"].max() * share)
    shares = {name: used_share(part).mean() for name, part in table.groupby("method") if name != "full"}
    found += [f"| {name} | {shares[name]:.2f} |" for name in methods if name != "full"]
    end = table["round"].max()
    gap = {name: after(table, "full", end) - after(table, name, end) for name in methods}
    nearest = min((100 * values.mean() for name, values in gap.items() if name != "full"))
    rates = pd.read_csv(HERE / "chosen.csv").groupby("lr")["method"].apply(list).to_dict()
    few, many = sorted(rates, key=lambda lr: len(rates[lr]))
    assert not pd.read_csv(HERE / "chosen.csv")["at_edge"].any()
    (exception,) = rates[few]
    return [
        *found,
        f"`{exception}` is best at {few:g}, all others at {many:g}; none at an edge",
        f"{nearest:.0f} points below `full`",
        *which_filters(load(HERE / "why.csv")),
        *bfloat16(load(HERE / "precision.csv")),
    ]


def which_filters(table: pd.DataFrame) -> list[str]:
    """Four ways to choose the filters, and FedAvg with partial work on the same seeds."""
    kinds = dict(iter(table.groupby("filters", sort=False)))
    ends = {name: late(part, LAST) for name, part in kinds.items()}
    batch, once, rolling, ordered = (
        ends[name] for name in ("random, every batch", "random, every round", "rolling", "ordered")
    )
    partial = load(HERE / "precision.csv").query("method == 'fedavg' and precision == 'float32'")
    partial = partial[partial["seed"].isin(table["seed"])]
    shares = np.concatenate([used_share(part) for part in kinds.values()])

    def row(name: str, own: np.ndarray, *others: np.ndarray) -> str:
        minus = [interval(own - other, "+.3f") for other in others]
        return f"| {' | '.join([name, interval(own, '.3f'), *minus, '', ''][:4])} |"

    return [
        row("random, drawn for every mini-batch (`distreal`)", batch),
        row("random, drawn once a round", once, batch),
        row("a window that moves by one every round (`rolling`)", rolling, batch, once),
        row("the first ones (`filters: ordered`)", ordered, batch, once),
        f"use {100 * shares.mean():.0f} % of the MACs",
        f"minus `distreal` {interval(late(partial, LAST) - batch, '+.3f')}",
        f"minus ordered filters {interval(late(partial, LAST) - ordered, '+.3f')}",
    ]


def bfloat16(table: pd.DataFrame) -> list[str]:
    """Steps in float32 and in bfloat16."""
    found = []
    names = {"fedavg": "`fedavg`", "ordered_distreal": "`distreal` (`filters: ordered`)"}
    for method, name in names.items():
        part = table[table["method"] == method]
        exact, short = (late(part[part["precision"] == p], LAST) for p in ("float32", "bfloat16"))
        found.append(f"| {name} | float32 | {interval(exact, '.3f')} | |")
        found.append(f"| | bfloat16 | {interval(short, '.3f')} | {interval(short - exact, '+.4f')} |")
    return found


def rows(table: pd.DataFrame, methods: list[str], end: float) -> list[str]:
    """Of each method the accuracy after a round, and the differences to the baselines paired by seed."""
    found = []
    values = {name: after(table, name, end) for name in methods}
    for name in methods:
        row = [name, interval(values[name], ".3f")]
        row += ["" if name == b else interval(values[name] - values[b], "+.3f") for b in BASELINES]
        found.append("| " + " | ".join(row) + " |")
    return found


def after(table: pd.DataFrame, method: str, round_number: float) -> np.ndarray:
    """(seeds,) mean accuracies of the last evaluations up to a round."""
    return late(table[(table["method"] == method) & (table["round"] <= round_number)], LAST)


if __name__ == "__main__":
    main()
