"""Tables of predicted and measured times in lab/results.md, from steps.csv and whole_run.csv.

python experiments/calibration/tables.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the tables, and parts of sentences."""
    steps = pd.read_csv(HERE / "steps.csv")
    unseen = steps[~steps["fitted"]]
    parts = [*unseen.groupby("model", sort=False), ("all", unseen)]
    both = ("predicted_s", "by_macs_s")
    rows = [f"| {' | '.join([name, str(len(own)), *(off(own, p) for p in both)])} |" for name, own in parts]
    runs = pd.read_csv(HERE / "whole_run.csv")
    for name, own in runs.groupby("method", sort=False):
        sums = own.groupby("time")[["steps", "measured_s", "predicted_s"]].sum()
        steps_done, _, predicted = sums.iloc[0]
        measured = ", ".join(f"{seconds:.3f}" for seconds in sums["measured_s"])
        errors = ", ".join(f"{100 * e:+.0f} %" for e in sums["predicted_s"] / sums["measured_s"] - 1)
        rows.append(f"| {name} | {steps_done:.0f} | {measured} | {predicted:.3f} | {errors} |")
    single = np.abs(runs["predicted_s"] / runs["measured_s"] - 1)
    return [
        *rows,
        f"{100 * single.median():.0f} % in the median and {100 * single.max():.0f} % at most",
        f"{len(steps) - len(unseen)} steps were fitted, {len(unseen)} held out",
    ]


def off(steps: pd.DataFrame, predicted: str) -> str:
    """Median and 90th percentile of the relative error."""
    errors = np.abs(steps[predicted] / steps["measured_s"] - 1)
    return f"{100 * errors.median():.0f} % | {100 * errors.quantile(0.9):.0f} %"


if __name__ == "__main__":
    print("\n".join(texts()))
