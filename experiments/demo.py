"""DISTREAL against its rivals on the embedded digits: three methods, three seeds, one figure, one table.

python experiments/demo.py --out runs/demo
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from distreal_sim.config import load_experiment
from distreal_sim.grids.ray.cluster import ray_instance
from distreal_sim.results.plots.accuracy import accuracy
from distreal_sim.results.runs import find_runs
from distreal_sim.results.statistics import time_to_accuracy
from distreal_sim.results.table import render, to_csv
from distreal_sim.run import run

CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"
METHODS = ("fedavg", "small", "distreal")
SEEDS = (1, 2, 3)
TARGETS = [0.8, 0.9]


def main() -> None:
    """Runs what is missing in --out, then draws and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--rounds", type=int, help="fewer rounds than the config, for a quick look")
    options = parser.parse_args()
    console = Console()
    shorter = [f"rounds={options.rounds}"] if options.rounds else []
    with ray_instance(os.cpu_count() or 1):
        for method in METHODS:
            for seed in SEEDS:
                experiment, _ = load_experiment(CONFIG, [f"method.name={method}", f"seed={seed}", *shorter])
                n = experiment.clients_per_round
                console.print(
                    f"{method}, seed {seed}: {experiment.rounds} rounds of {n} clients as Ray actors"
                )
                run(experiment, options.out / f"{method}-{seed}", grid="ray", resume=True)
    runs = find_runs([options.out])
    render(time_to_accuracy(runs, TARGETS), console)
    accuracy(runs, x="sim_s", targets=TARGETS, out=options.out / "accuracy.png")
    (options.out / "time_to_accuracy.csv").write_text(to_csv(time_to_accuracy(runs, TARGETS)))
    console.print(f"figure: {options.out / 'accuracy.png'}")


if __name__ == "__main__":
    main()
