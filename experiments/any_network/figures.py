"""Figure and numbers of the runs on text, a table and sensor windows in lab/results.md, from the tables here.

python experiments/any_network/figures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import by_seed, interval, load, runs_of  # noqa: E402

from distreal_sim.results.directories import group  # noqa: E402
from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._lines import label_lines  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402

FIGURE = HERE.parents[1] / "lab" / "figures" / "any_network.png"

METHODS = {"fedavg": "fedavg", "heterofl": "heterofl", "distreal": "distreal", "distreal-ordered": "distreal"}
"""Labels of the sweeps, and the method whose look each has."""

TASKS = {
    "char_lstm, Shakespeare": ("shakespeare.csv", "lstm", "accuracy"),
    "text_transformer, Shakespeare": ("shakespeare.csv", "transformer", "accuracy"),
    "mlp, diabetes": ("table.csv", None, "r2"),
    "fcn1d, synthetic windows": ("windows.csv", None, "accuracy"),
}
"""Titles of the panels; file of the table, its rows by `network`, the score."""


def main() -> None:
    """Writes the figure, prints the texts."""
    print("\n".join(texts()))
    with look():
        figure = Figure(figsize=(7.0, 4.6))
        grid = figure.subplots(2, 2)
        for axes, (title, (_, _, score)) in zip(grid.flat, TASKS.items(), strict=True):
            table = table_of(title)
            runs = runs_of(table.assign(accuracy=table[score]), METHODS)
            for label, line in label_lines(group(runs)).items():
                x, values = by_seed(table[table["method"] == label], score)
                axes.plot(x / 60, values.mean(axis=0), label=label, **line)
            axes.set(title=title, ylabel="Test R2" if score == "r2" else "Test accuracy")
        figure.supxlabel("Simulated time (min)", fontsize=9)
        legend_above(figure, *grid[0, 0].get_legend_handles_labels())
        save(figure, FIGURE)


def table_of(title: str) -> pd.DataFrame:
    """The rows of a panel."""
    name, network, score = TASKS[title]
    table = load(HERE / name, score)
    return table if network is None else table[table["network"] == network]


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the table, first and last test of each method."""
    rows = []
    for title, (_, _, score) in TASKS.items():
        table = table_of(title)
        for label in METHODS:
            _, values = by_seed(table[table["method"] == label], score)
            cells = [title, label, *(interval(values[:, i], ".3f") for i in (0, -1))]
            rows.append("| " + " | ".join(cells) + " |")
    return rows


if __name__ == "__main__":
    main()
