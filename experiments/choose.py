"""Picks each method's learning rate from a tuning sweep, and writes the sweep of the experiment itself.

    distreal-sim sweep experiments/NAME/tune.yaml dataset.data_dir=$PWD/data --out runs/NAME-tune
    python experiments/choose.py experiments/NAME runs/NAME-tune

Reads tune.yaml (methods x rates) and plan.yaml (a sweep without its methods) of the directory, and writes
chosen.csv and sweep.yaml there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import yaml


def main() -> None:
    """Writes chosen.csv and sweep.yaml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path, help="directory with tune.yaml and plan.yaml")
    parser.add_argument("tuned", type=Path, nargs="+", help="directories of finished tuning sweeps")
    options = parser.parse_args()
    tune, plan = (yaml.safe_load((options.experiment / f"{n}.yaml").read_text()) for n in ("tune", "plan"))
    runs = pd.concat([pd.read_csv(directory / "sweep.csv") for directory in options.tuned])
    if (runs["status"] != "finished").any():
        raise SystemExit(f"{(runs['status'] != 'finished').sum()} runs are not finished")
    rates = choose(runs)
    rates.to_csv(options.experiment / "chosen.csv", index=False)
    sweep = fill(plan, tune["grid"]["method"], rates)
    (options.experiment / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    print(rates.to_string(index=False))


def choose(runs: pd.DataFrame) -> pd.DataFrame:
    """For each method the rate of highest mean final accuracy; of equal ones the smaller rate.

    Columns: method, lr, accuracy, and at_edge: whether a rate beyond those tried might have been better.
    """
    means = runs.groupby(["method", "local.lr"])["final_accuracy"].mean().reset_index()
    order = means.sort_values(["final_accuracy", "local.lr"], ascending=[False, True])
    best = order.drop_duplicates("method").set_index("method")
    tried = means.groupby("method")["local.lr"].agg(["min", "max"])
    tried = tried.loc[best.index]
    edge = (best["local.lr"] == tried["min"]) | (best["local.lr"] == tried["max"])
    names = {"local.lr": "lr", "final_accuracy": "accuracy"}
    return best.rename(columns=names).assign(at_edge=edge).sort_index().reset_index()


def fill(plan: dict[str, Any], methods: dict[str, Any], rates: pd.DataFrame) -> dict[str, Any]:
    """The plan with the axis of methods, each with its rate; methods vary fastest."""
    lr = dict(zip(rates["method"], rates["lr"].astype(float), strict=True))
    axis = {name: {**options, "local.lr": lr[name]} for name, options in methods.items()}
    return {**plan, "grid": {**plan.get("grid", {}), "method": axis}}


if __name__ == "__main__":
    main()
