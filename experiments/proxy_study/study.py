"""Does a score rank vectors as long federated training does? Scores and long trainings, into CSV files.

python experiments/proxy_study/study.py scores --out runs/proxy_study
python experiments/proxy_study/study.py train --out runs/proxy_study
python experiments/proxy_study/study.py collect --out runs/proxy_study
python experiments/proxy_study/analyse.py

What is there already is not computed again; `--only NAME ...` computes some scores or settings. The tables
go to experiments/proxy_study/results, where rows of other scores and settings stay.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
from collections.abc import Sequence
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
SETTINGS = {
    "alone": [],
    "mixture": ["method.share=0.5"],
    "half": ["method.weak_every=2"],
}
"""Long trainings: every step with the vector, every other one, every step of every other client."""
SCORES = {
    "full": (["pretraining=full", "data=pooled"], STEPS),
    "mixed": (["pretraining=mixed", "data=pooled"], STEPS),
    "clients": (["pretraining=mixed", "data=clients"], STEPS),
    "federated": (["pretraining=mixed", "data=clients", "score=federated"], (10, 30)),
}
"""Keys of the search, and numbers of steps."""


def objective(score: str, steps: int) -> Objective:
    """The score with these settings."""
    changes = [*SCORES[score][0], f"steps={steps}", f"repeats={REPEATS}", f"snapshots={list(SNAPSHOTS)}"]
    search, experiment, _ = load_search(SEARCH, changes)
    return make_objective(search, experiment)


def vectors(space: Space) -> list[tuple[float, str, Counts]]:
    """The vectors of the study, always the same."""
    return draw_vectors(space, N_RANDOM, Rngs(1)("proxy study"))


def scores(out: Path, names: Sequence[str]) -> None:
    """Every single drop of every vector under every setting."""
    rows: list[list[Any]] = []
    for name in names:
        for steps in SCORES[name][1]:
            cached = out / f"scores-{name}-{steps}.json"
            if not cached.exists():
                scorer = objective(name, steps)
                drops = {
                    str(number): scorer.score(counts, "search").drops
                    for number, (_, _, counts) in enumerate(vectors(scorer.space))
                }
                out.mkdir(parents=True, exist_ok=True)
                cached.write_text(json.dumps(drops))
            for number, by_snapshot in json.loads(cached.read_text()).items():
                for snapshot, values in zip(SNAPSHOTS, by_snapshot, strict=True):
                    key = [name, steps, number, snapshot]
                    rows += [[*key, repeat, f"{drop:.5f}"] for repeat, drop in enumerate(values)]
    _put("drops.csv", ["score", "steps", "vector", "snapshot", "repeat", "drop"], rows)


def train(out: Path, seeds: list[int], settings: Sequence[str]) -> None:
    """The long trainings."""
    space = objective("full", 1).space
    always = ["profile.name=constant", "profile.level=1000", "overrun=wait"]
    always += [f"rounds={ROUNDS}", f"checkpoint_every={ROUNDS}", "method.name=one_vector.OneVector"]
    for seed, setting in itertools.product(seeds, settings):
        for number, (_, _, counts) in enumerate(vectors(space)):
            rates = f"method.rates={[float(rate) for rate in space.rates(counts)]}"
            trained, _ = load_experiment(CONFIG, [*always, *SETTINGS[setting], rates, f"seed={seed}"])
            run(trained, out / f"{setting}-{seed}-{number}", grid="serial", resume=True)


def collect(out: Path, seeds: list[int], settings: Sequence[str]) -> None:
    """The vectors, and test accuracy and loss after every round of the long trainings."""
    space = objective("full", 1).space
    kept = [
        [number, level, kind, f"{space.relative_macs(counts):.5f}", " ".join(map(str, counts))]
        for number, (level, kind, counts) in enumerate(vectors(space))
    ]
    _put("vectors.csv", ["vector", "level", "kind", "relative_macs", "kept"], kept)
    rows: list[list[Any]] = []
    for setting, seed in itertools.product(settings, seeds):
        paths = [out / f"{setting}-{seed}-{number}" / "rounds.csv" for number in range(len(kept))]
        tables = [list(csv.DictReader(path.open())) if path.exists() else [] for path in paths]
        if any(len(table) < ROUNDS for table in tables):
            print(f"{setting}, seed {seed}: not finished, left out")
            continue
        for number, table in enumerate(tables):
            for row in table:
                values = [f"{float(row[key]):.5f}" for key in ("test_accuracy", "test_loss")]
                rows.append([setting, seed, number, row["round"], *values])
    _put("training.csv", ["setting", "seed", "vector", "round", "accuracy", "loss"], rows)


def _put(name: str, header: list[str], rows: list[list[Any]]) -> None:
    """Replaces the rows of a table that have a first value of `rows`."""
    path, new = RESULTS / name, {str(row[0]) for row in rows}
    with path.open() if path.exists() else io.StringIO() as file:
        kept = [row for row in list(csv.reader(file))[1:] if row[0] not in new]
    RESULTS.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept, *rows])


def main() -> None:
    """Computes a part of the study."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=["scores", "train", "collect"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", nargs="+", choices=[*SCORES, *SETTINGS], metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    prepare_process()
    if options.what == "scores":
        scores(options.out, options.only or list(SCORES))
    else:
        do = train if options.what == "train" else collect
        do(options.out, options.seeds, options.only or list(SETTINGS))


if __name__ == "__main__":
    main()
