"""Numbers of MNIST by writer in lab/results.md, from mnist_writers.csv: the table that real_data.py prints.

python experiments/results/tables.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent

NAMES = {
    "distreal, filters=random": "distreal, random filters",
    "distreal, filters=ordered": "distreal, ordered filters",
    "small": "small",
    "fedavg": "fedavg, late updates dropped",
}
"""Methods of the table, and what the page calls them."""

TARGETS = ("0.9", "0.95")


def texts() -> list[str]:
    """Rows of the table."""
    table = pd.read_csv(HERE / "mnist_writers.csv").set_index("method")
    rows = []
    for method, name in NAMES.items():
        row = table.loc[method]
        cells = [name, f"{row['final_accuracy']:.3f} ± {row['final_accuracy_ci95']:.3f}"]
        cells += [seconds(row, target) for target in TARGETS]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def seconds(row: pd.Series[float], target: str) -> str:
    """Mean simulated seconds to a target; with an interval where all seeds met it."""
    mean, reached = row[f"sim_s_to_{target}"], str(row[f"reached_{target}"])
    some, of = reached.split(" of ")
    if some == of:
        return f"{mean:.0f} ± {row[f'sim_s_to_{target}_ci95']:.0f}"
    return "not reached" if some == "0" else f"{mean:.0f} ({reached} seeds)"


if __name__ == "__main__":
    print("\n".join(texts()))
