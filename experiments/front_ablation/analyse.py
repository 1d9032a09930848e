"""Tables and figure of the front ablation in lab/results.md, from results/*.csv.

python experiments/front_ablation/analyse.py
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import between, half_width  # noqa: E402

from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402

FIGURE = HERE.parents[1] / "lab" / "figures" / "front_ablation.png"
TITLES = {"mnist_writers": "MNIST by writer", "cifar10": "CIFAR-10"}
LOOKS = {
    "uniform": {"color": "#7F7F7F", "marker": "s", "linestyle": (0, (5, 1.5))},
    "random": {"color": "#0072B2", "marker": "^", "linestyle": (0, (1.5, 1.2))},
    "greedy": {"color": "#009E73", "marker": "D", "linestyle": (0, (5, 1.2, 1.2, 1.2))},
    "searched": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
}
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the run after which accuracies are compared."""


class Curves:
    """accuracy: front -> seed -> (evaluations,); sim_s, rounds: (evaluations,)."""

    def __init__(self, path: Path) -> None:
        self.accuracy: dict[str, dict[int, np.ndarray]] = {}
        with path.open() as file:
            rows = list(csv.DictReader(file))
        for kind, seed in dict.fromkeys((row["front"], int(row["seed"])) for row in rows):
            own = [row for row in rows if (row["front"], int(row["seed"])) == (kind, seed)]
            self.accuracy.setdefault(kind, {})[seed] = np.array([float(row["accuracy"]) for row in own])
        self.accuracy = {k: v for k, v in self.accuracy.items() if len(v) > 1}
        self.rounds = np.array([int(row["round"]) for row in own])
        self.sim_s = np.array([float(row["sim_s"]) for row in own])

    def mean(self, kind: str) -> np.ndarray:
        """(evaluations,) over the seeds."""
        return np.mean(list(self.accuracy[kind].values()), axis=0)

    def difference(self, kind: str) -> np.ndarray:
        """(seeds, evaluations) accuracy minus that of the uniform front with the same seed."""
        uniform = self.accuracy["uniform"]
        return np.array([own - uniform[seed] for seed, own in self.accuracy[kind].items() if seed in uniform])


def lines(name: str, curves: Curves) -> list[str]:
    """Accuracy at fixed times, and paired differences to uniform rates."""
    places = [int(np.flatnonzero(curves.rounds == round(s * curves.rounds[-1]))[0]) for s in SHARES]
    heads = [f"round {curves.rounds[p]}" for p in places]
    (n_seeds,) = {len(seeds) for seeds in curves.accuracy.values()}
    shown = [f"{name}, {n_seeds} seeds", "| front | " + " | ".join(heads) + " | mean of all evaluations |"]
    for kind in curves.accuracy:
        mean = curves.mean(kind)
        cells = [f"{mean[p]:.3f}" for p in places] + [f"{mean.mean():.3f}"]
        if kind != "uniform":
            values = curves.difference(kind)
            values = np.column_stack([values[:, places], values.mean(axis=1)])
            middle, half = values.mean(axis=0), half_width(values)
            cells = [
                f"{cell}; {m:+.3f} ({m - h:+.3f} to {m + h:+.3f})"
                for cell, m, h in zip(cells, middle, half, strict=True)
            ]
        shown.append(f"| {kind} | " + " | ".join(cells) + " |")
    return shown


def draw(found: dict[str, Curves], out: Path) -> None:
    """Mean accuracy above, differences to uniform rates with 95 % intervals below."""
    with look():
        figure = Figure(figsize=(6.3, 4.6))
        panels = figure.subplots(2, len(found), sharex="col", squeeze=False)
        for column, (name, curves) in enumerate(found.items()):
            above, below = panels[0][column], panels[1][column]
            above.set_title(TITLES[name])
            for kind in curves.accuracy:
                style = {**LOOKS[kind], "markersize": 3.5}
                above.plot(curves.sim_s, curves.mean(kind), label=kind, **style)
                if kind != "uniform":
                    _band(below, curves.sim_s, curves.difference(kind), style)
            below.axhline(0.0, color="0.3", linewidth=0.9)
            below.set_xlabel("Simulated seconds")
        panels[0][0].set_ylabel("Test accuracy")
        panels[1][0].set_ylabel("Minus uniform rates'")
        legend_above(figure, *panels[0][0].get_legend_handles_labels(), title="Front")
        save(figure, out)


def _band(axes: Axes, x: np.ndarray, differences: np.ndarray, style: dict[str, object]) -> None:
    middle, half = differences.mean(axis=0), half_width(differences)
    axes.plot(x, middle, **style)  # type: ignore[arg-type]
    axes.fill_between(x, middle - half, middle + half, color=str(style["color"]), alpha=0.15, linewidth=0)


def read() -> dict[str, Curves]:
    """The curves of each data set."""
    return {name: Curves(HERE / "results" / f"{name}.csv") for name in TITLES}


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the tables, and parts of sentences."""
    found = []
    for name, curves in read().items():
        found += lines(TITLES[name], curves)
        gains = 100 * curves.difference("searched").mean(axis=0)
        found.append(f"{TITLES[name]} by {between(gains, '.1f')} points")
    table = pd.read_csv(HERE / "results" / "mnist_writers.csv")
    shares = table[table["round"] == table["round"].max()].groupby("front")["share_of_macs"].mean()
    return [*found, f"{between(100 * shares, '.0f')} % of the MACs"]


def main() -> None:
    """Prints the texts, writes the figure."""
    print("\n".join(texts()))
    draw(read(), FIGURE)


if __name__ == "__main__":
    main()
