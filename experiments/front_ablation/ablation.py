"""Does the searched front help? `distreal` with fronts of four origins, on the same seeds and capacities.

python experiments/front_ablation/ablation.py search mnist_writers --data-dir data --out runs/abl
python experiments/front_ablation/ablation.py search cifar10 --data-dir data --out runs/abl
python experiments/front_ablation/ablation.py run mnist_writers --data-dir data --out runs/abl
python experiments/front_ablation/ablation.py run cifar10 --data-dir data --out runs/abl
python experiments/front_ablation/ablation.py collect mnist_writers --out runs/abl
python experiments/front_ablation/ablation.py collect cifar10 --out runs/abl
python experiments/front_ablation/analyse.py

Runs that are finished are skipped, others go on from their last checkpoint; two processes with different
--seeds or --kinds may share --out. `collect` writes experiments/front_ablation/results/NAME.csv.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fronts import greedy, random, searched, uniform

from distreal_sim.base.rng import Rngs
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.config.build import build
from distreal_sim.fronts.front import fingerprint, make_front
from distreal_sim.methods.distreal import Distreal
from distreal_sim.run import run
from distreal_sim.search.run import run_search
from distreal_sim.search.settings import load_search
from distreal_sim.search.space import Space

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
KINDS = ("uniform", "random", "greedy", "searched")
ENTRIES = 16

SMALL = ["model.name=small_cnn", "local.lr=0.1", "rounds=32", "evaluation.every=4"]
EXPERIMENTS = {
    "mnist_writers": [*SMALL, "local.batch_size=8", "local.epochs=2"],
    "cifar10": [*SMALL, "local.batch_size=16"],
}
"""Overrides of the config of that name: a network that two cores can afford with many seeds, few rounds, and
steps enough for it to learn in them."""


def load(name: str, seed: int, data_dir: Path, front: str) -> Experiment:
    """An experiment of the ablation; front: a path or {uniform: n}."""
    always = [f"seed={seed}", f"method.front={front}", f"dataset.data_dir={data_dir.resolve()}"]
    return load_experiment(CONFIGS / f"{name}.yaml", [*EXPERIMENTS[name], *always])[0]


def search(name: str, data_dir: Path, out: Path) -> None:
    """Searches the front of an experiment, or goes on with it."""
    path = f"experiment={(CONFIGS / f'{name}.yaml').resolve()}"
    changes = [
        f"experiment.{text}" for text in [*EXPERIMENTS[name], f"dataset.data_dir={data_dir.resolve()}"]
    ]
    settings, experiment, _ = load_search(HERE / "search.yaml", [path, *changes])
    run_search(settings, experiment, out / name / "search", n_workers=1, resume=True)


def write_front(experiment: Experiment, kind: str, out: Path) -> Path:
    """The front of a kind as a file; a random one is another for every seed."""
    path = out / (f"front-{kind}-{experiment.seed}.json" if kind == "random" else f"front-{kind}.json")
    if path.exists():
        return path
    task, method = build(experiment), experiment.method
    assert isinstance(method, Distreal)
    groups = task.structure.thinnable(method.drop_linear)
    space = Space(task.structure, groups, d_max=(ENTRIES - 1) / ENTRIES)
    if kind == "searched":
        vectors = searched(space, out / "search" / "front.json")
    elif kind == "random":
        vectors = random(space, ENTRIES, Rngs(experiment.seed)("random front"))
    else:
        vectors = {"uniform": uniform, "greedy": greedy}[kind](space, ENTRIES)
    rates = np.array([space.rates(counts) for counts in vectors])
    made = {"how": f"front ablation, {kind}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    front = make_front(task.structure, groups, rates, None, model=fingerprint(task.module), made=made)
    front.save(path)
    return path


def play(name: str, kind: str, seed: int, options: argparse.Namespace) -> None:
    """One run."""
    out = options.out / name
    plain = load(name, seed, options.data_dir, "{uniform: 1}")
    front = write_front(plain, kind, out)
    experiment = load(name, seed, options.data_dir, str(front.resolve()))
    run(experiment, out / f"{kind}-{seed}", grid="serial", resume=True)


def collect(name: str, kinds: Sequence[str], seeds: Sequence[int], out: Path) -> None:
    """The evaluated rounds of those of the runs that are finished, as a table."""
    rows: list[list[object]] = []
    for kind, seed in itertools.product(kinds, seeds):
        directory = out / name / f"{kind}-{seed}"
        if not (directory / "model.safetensors").exists():
            print(f"{name}, {kind}, seed {seed}: not finished, left out")
            continue
        macs = available = 0.0
        with (directory / "rounds.csv").open() as file:
            for row in csv.DictReader(file):
                macs += float(row["macs"])
                available += float(row["macs_available"])
                if row["test_accuracy"]:
                    values = [f"{float(row[key]):.5f}" for key in ("test_accuracy", "test_loss")]
                    rows.append([kind, seed, row["round"], row["sim_s"], *values, f"{macs / available:.4f}"])
    (HERE / "results").mkdir(exist_ok=True)
    with (HERE / "results" / f"{name}.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["front", "seed", "round", "sim_s", "accuracy", "loss", "share_of_macs"])
        table.writerows(rows)


def main() -> None:
    """Searches the front, runs what is missing, or collects what there is."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=["search", "run", "collect"])
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.what == "collect":
        collect(options.name, options.kinds, options.seeds, options.out)
        return
    if options.what == "search":
        search(options.name, options.data_dir, options.out)
        return
    for seed in options.seeds:
        for kind in options.kinds:
            print(f"{options.name}, {kind}, seed {seed}", flush=True)
            play(options.name, kind, seed, options)


if __name__ == "__main__":
    main()
