"""The methods on a config with real data: all runs, then the figure and the table of lab/results.md.

python experiments/real_data.py configs/mnist_writers.yaml --data-dir data --out runs/mnist_writers
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from rich.console import Console

from distreal_sim.config import load_experiment
from distreal_sim.grids.ray.cluster import ray_instance
from distreal_sim.results.directories import find_runs
from distreal_sim.results.plots.accuracy import accuracy
from distreal_sim.results.statistics import time_to_accuracy
from distreal_sim.results.table import render, to_csv
from distreal_sim.run import run

VARIANTS = {
    "fedavg-drop": ["method.name=fedavg", "overrun=drop"],
    "fedavg-partial": ["method.name=fedavg", "overrun=partial"],
    "small": ["method.name=small"],
    "distreal": ["method.name=distreal"],
    "distreal-ordered": ["method.name=distreal", "method.filters=ordered"],
}


def main() -> None:
    """Runs what is missing in --out, then draws and prints."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--targets", type=float, nargs="*")
    parser.add_argument("--grid", choices=["serial", "ray"], default="ray")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    console = Console()
    data = f"dataset.data_dir={options.data_dir.resolve()}"
    with ray_instance(os.cpu_count() or 1) if options.grid == "ray" else contextlib.nullcontext():
        for seed in options.seeds:
            for variant in options.variants:
                overrides = [*options.overrides, *VARIANTS[variant], f"seed={seed}", data]
                experiment, _ = load_experiment(options.config, overrides)
                console.print(f"{variant}, seed {seed}: {experiment.rounds} rounds")
                run(experiment, options.out / f"{variant}-{seed}", grid=options.grid, resume=True)
    runs = find_runs([options.out])
    table = time_to_accuracy(runs, options.targets or None)
    render(table, console)
    (options.out / "time_to_accuracy.csv").write_text(to_csv(table))
    accuracy(runs, x="sim_s", targets=options.targets or None, out=options.out / "accuracy.png")


if __name__ == "__main__":
    main()
