"""Picks each method's learning rate from the tuning sweep, and writes the sweep of the experiment itself.

python experiments/heterogeneity/choose.py runs/heterogeneity-tune
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

HERE = Path(__file__).parent

SPREADS = {
    "equal": {"low": 0.5, "high": 0.5},
    "1 to 20": {"low": 0.05, "high": 1.0},
}
CHANGES = {
    "never": {"jitter": 0.0, "changes_per_round": 0},
    "10 a round": {"jitter": 0.5, "changes_per_round": 10},
}
SKEWS: dict[str, dict[str, Any]] = {
    "by writer": {"partition": {"name": "by_writer"}},
    "Dirichlet 0.1": {"partition": {"name": "dirichlet", "alpha": 0.1, "min_examples": 8}, "n_clients": 539},
}


def main() -> None:
    """Writes chosen.csv and sweep.yaml beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tuned", type=Path, help="directory of the finished tuning sweep")
    options = parser.parse_args()
    tune = yaml.safe_load((HERE / "tune.yaml").read_text())
    runs = pd.read_csv(options.tuned / "sweep.csv")
    if (runs["status"] != "finished").any():
        raise SystemExit(f"{(runs['status'] != 'finished').sum()} runs of {options.tuned} are not finished")
    rates = choose(runs)
    rates.to_csv(HERE / "chosen.csv", index=False)
    (HERE / "sweep.yaml").write_text(yaml.safe_dump(sweep(tune, rates), sort_keys=False))
    print(rates.to_string(index=False))


def choose(runs: pd.DataFrame) -> pd.DataFrame:
    """For each method the rate of highest mean final accuracy; of equal ones the smaller rate.

    Columns: method, lr, accuracy, and at_edge: whether a rate beyond the grid might have been better.
    """
    means = runs.groupby(["method", "local.lr"])["final_accuracy"].mean().reset_index()
    best = means.sort_values(["final_accuracy", "local.lr"], ascending=[False, True]).drop_duplicates(
        "method"
    )
    best = best.sort_values("method").rename(columns={"local.lr": "lr", "final_accuracy": "accuracy"})
    return best.assign(at_edge=best["lr"].isin([runs["local.lr"].min(), runs["local.lr"].max()]))


def sweep(tune: dict[str, Any], rates: pd.DataFrame) -> dict[str, Any]:
    """The sweep: methods with their rates x spread x rate of change x skew x seeds."""
    lr = dict(zip(rates["method"], rates["lr"], strict=True))
    profile = {"name": "uniform"}
    return {
        "base": tune["base"],
        "overrides": {"rounds": tune["overrides"]["rounds"], "evaluation": {"every": 5}},
        "grid": {
            "spread and changes": {
                f"{spread}, changes {change}": {"profile": {**profile, **levels, **rate}}
                for spread, levels in SPREADS.items()
                for change, rate in CHANGES.items()
            },
            "skew": SKEWS,
            "method": {
                name: {**options, "local.lr": lr[name]} for name, options in tune["grid"]["method"].items()
            },
        },
        "seeds": [1, 2, 3],
        "compare": ["method"],
        "baseline": "small",
        "targets": [0.8, 0.9],
    }


if __name__ == "__main__":
    main()
