"""Does a score rank vectors as long federated training does? Scores and long trainings, into CSV files.

python experiments/proxy_study/study.py scores --out runs/proxy_study
python experiments/proxy_study/study.py train --out runs/proxy_study
python experiments/proxy_study/study.py collect --out runs/proxy_study
python experiments/proxy_study/analyse.py

What is there already is not computed again. The tables go to experiments/proxy_study/results.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from pathlib import Path
from typing import Any

from vectors import draw_vectors

from distreal_sim.base.process import prepare_process
from distreal_sim.base.rng import Rngs
from distreal_sim.config import load_experiment
from distreal_sim.run import run
from distreal_sim.search.objective import Objective, make_objective
from distreal_sim.search.settings import load_search
from distreal_sim.search.space import Space
from distreal_sim.thinning.structure import Counts

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
SEARCH, CONFIG = CONFIGS / "search" / "digits_small_cnn.yaml", CONFIGS / "digits.yaml"
RESULTS = HERE / "results"

SNAPSHOTS = (0, 30, 100, 300)
STEPS = (10, 30, 100)
REPEATS = 6
N_RANDOM = 4
ROUNDS = 30
SHARES = {"alone": 1.0, "mixture": 0.5}


def objective(pretraining: str, steps: int) -> Objective:
    """The score with these settings."""
    changes = [f"pretraining={pretraining}", f"steps={steps}", f"repeats={REPEATS}"]
    search, experiment, _ = load_search(SEARCH, [*changes, "data=pooled", f"snapshots={list(SNAPSHOTS)}"])
    return make_objective(search, experiment)


def vectors(space: Space) -> list[tuple[float, str, Counts]]:
    """The vectors of the study, always the same."""
    return draw_vectors(space, N_RANDOM, Rngs(1)("proxy study"))


def scores(out: Path) -> None:
    """Every single drop of every vector under every setting."""
    rows: list[list[Any]] = []
    for pretraining in ("full", "mixed"):
        for steps in STEPS:
            cached = out / f"scores-{pretraining}-{steps}.json"
            if not cached.exists():
                scorer = objective(pretraining, steps)
                drops = {
                    str(number): scorer.score(counts, "search").drops
                    for number, (_, _, counts) in enumerate(vectors(scorer.space))
                }
                out.mkdir(parents=True, exist_ok=True)
                cached.write_text(json.dumps(drops))
            for number, by_snapshot in json.loads(cached.read_text()).items():
                for snapshot, values in zip(SNAPSHOTS, by_snapshot, strict=True):
                    key = [pretraining, steps, number, snapshot]
                    rows += [[*key, repeat, f"{drop:.5f}"] for repeat, drop in enumerate(values)]
    _write("drops.csv", ["pretraining", "steps", "vector", "snapshot", "repeat", "drop"], rows)


def train(out: Path, seeds: list[int]) -> None:
    """The long trainings."""
    space = objective("full", 1).space
    always = ["profile.name=constant", "profile.level=1000", "overrun=wait"]
    always += [f"rounds={ROUNDS}", f"checkpoint_every={ROUNDS}"]
    for seed in seeds:
        for setting, share in SHARES.items():
            for number, (_, _, counts) in enumerate(vectors(space)):
                rates = [float(rate) for rate in space.rates(counts)]
                method = [
                    "method.name=one_vector.OneVector",
                    f"method.rates={rates}",
                    f"method.share={share}",
                ]
                trained, _ = load_experiment(CONFIG, [*method, *always, f"seed={seed}"])
                run(trained, out / f"{setting}-{seed}-{number}", grid="serial", resume=True)


def collect(out: Path, seeds: list[int]) -> None:
    """The vectors, and test accuracy and loss after every round of the long trainings."""
    space = objective("full", 1).space
    kept = [
        [number, level, kind, f"{space.relative_macs(counts):.5f}", " ".join(map(str, counts))]
        for number, (level, kind, counts) in enumerate(vectors(space))
    ]
    _write("vectors.csv", ["vector", "level", "kind", "relative_macs", "kept"], kept)
    rows: list[list[Any]] = []
    for setting, seed in itertools.product(SHARES, seeds):
        paths = [out / f"{setting}-{seed}-{number}" / "rounds.csv" for number in range(len(kept))]
        tables = [list(csv.DictReader(path.open())) if path.exists() else [] for path in paths]
        if any(len(table) < ROUNDS for table in tables):
            print(f"{setting}, seed {seed}: not finished, left out")
            continue
        for number, table in enumerate(tables):
            for row in table:
                values = [f"{float(row[key]):.5f}" for key in ("test_accuracy", "test_loss")]
                rows.append([setting, seed, number, row["round"], *values])
    _write("training.csv", ["setting", "seed", "vector", "round", "accuracy", "loss"], rows)


def _write(name: str, header: list[str], rows: list[list[Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / name).open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def main() -> None:
    """Computes a part of the study."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=["scores", "train", "collect"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    prepare_process()
    if options.what == "scores":
        scores(options.out)
    elif options.what == "train":
        train(options.out, options.seeds)
    else:
        collect(options.out, options.seeds)


if __name__ == "__main__":
    main()
