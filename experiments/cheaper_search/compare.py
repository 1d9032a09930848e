"""The search with screening against plain NSGA-II with equally many evaluations: hypervolume on fresh seeds.

    python experiments/cheaper_search/compare.py --cache DIR [--networks NAME ...] [--variants NAME ...]

Every network has one objective (digits.yaml on the digits), on which each variant searches once for each seed
of the optimiser. The entries of every front are scored again with seeds that no search has seen. Scores are a
function of the vector, so DIR keeps them for all variants; what results.csv holds already is not made again.
Prints, for each network and variant, the mean, and the difference from plain NSGA-II paired by seed with a
95 % t interval.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from distreal_sim.base.process import prepare_process
from distreal_sim.search.archive import Archive
from distreal_sim.search.explore import Evaluate, explore
from distreal_sim.search.objective import Objective, make_objective
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.settings import Stream, load_search
from distreal_sim.search.table import table_of

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
FIELDS = ("network", "variant", "seed", "evaluations", "seen", "fresh", "uniform_fresh")

VARIANTS: dict[str, dict[str, int]] = {"plain": {"screening": 1}, "screening": {"screening": 8}}


def rows() -> list[dict[str, str]]:
    """What was measured so far."""
    if not RESULTS.exists():
        return []
    with RESULTS.open() as file:
        return list(csv.DictReader(file))


def add(row: dict[str, object]) -> None:
    """Appends a row to the results."""
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def scored(objective: Objective, stream: Stream, path: Path) -> Evaluate:
    """Scores of vectors, kept in a file."""
    archive = Archive(path, objective.space)
    return archive.filling(lambda asked: (objective.score(counts, stream) for counts in asked))


def compare(network: str, variants: list[str], seeds: list[int], cache: Path, console: Console) -> None:
    """Makes the searches of a network that are missing."""
    overrides = [f"experiment.model={{name: {network}}}", "experiment.evaluation.statistics_batches=6"]
    search, experiment, _ = load_search(HERE / "digits.yaml", overrides)
    objective = make_objective(search, experiment)
    space = objective.space
    zero = space.structure.full_counts()
    known = scored(objective, "search", cache / f"{network}.search.jsonl")
    fresh = scored(objective, "reevaluation", cache / f"{network}.fresh.jsonl")

    def volume(entries: list[tuple[int, ...]], evaluate: Evaluate) -> float:
        scores = dict(zip(entries, evaluate(entries), strict=True))
        return hypervolume([(space.relative_macs(c), s.mean) for c, s in scores.items()], scores[zero].mean)

    uniform = volume(space.uniform(search.entries), fresh)
    done = {(row["network"], row["variant"], row["seed"]) for row in rows()}
    for variant in variants:
        for seed in seeds:
            if (network, variant, str(seed)) in done:
                continue
            found = explore(space, search.model_copy(update={**VARIANTS[variant], "seed": seed}), known)
            pairs = table_of(space, found.scores, search.over, search.entries)
            entries = [pair.counts for pair in pairs]
            volumes = volume(entries, known), volume(entries, fresh), uniform
            row = (network, variant, seed, len(found.scores), *(round(v, 5) for v in volumes))
            add(dict(zip(FIELDS, row, strict=True)))
            console.print(row)


def table() -> Table:
    """Mean and spread of each variant, and its paired difference from plain NSGA-II."""
    result = Table(title="hypervolume on fresh seeds")
    for head in ("network", "variant", "seeds", "mean", "sd", "against plain", "95 %", "seen", "uniform"):
        result.add_column(head, justify="left" if head in ("network", "variant") else "right")
    everything = rows()
    for network in dict.fromkeys(row["network"] for row in everything):
        of = {
            v: {row["seed"]: row for row in everything if (row["network"], row["variant"]) == (network, v)}
            for v in VARIANTS
        }
        for variant, mine in of.items():
            if len(mine) < 2:
                continue
            values = np.array([float(row["fresh"]) for row in mine.values()])
            both = sorted(set(mine) & set(of["plain"]))
            gains = np.array([float(mine[s]["fresh"]) - float(of["plain"][s]["fresh"]) for s in both])
            difference = interval = ""
            if variant != "plain" and len(both) > 1:
                half = stats.t.ppf(0.975, len(both) - 1) * gains.std(ddof=1) / np.sqrt(len(both))
                difference = f"{gains.mean():+.4f}"
                interval = f"{gains.mean() - half:+.4f} to {gains.mean() + half:+.4f}"
            seen = np.mean([float(row["seen"]) for row in mine.values()])
            uniform = next(iter(mine.values()))["uniform_fresh"]
            spread = (f"{values.mean():.4f}", f"{values.std(ddof=1):.4f}", difference, interval)
            result.add_row(network, variant, str(len(mine)), *spread, f"{seen:.4f}", uniform)
    return result


def main() -> None:
    """Makes what is missing, then prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--cache", type=Path, required=True, help="directory for scores")
    parser.add_argument("--networks", nargs="*", default=["resnet20", "dense22.Dense22"])
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    prepare_process()
    console = Console(width=130)
    options.cache.mkdir(parents=True, exist_ok=True)
    for network in options.networks:
        compare(network, options.variants, options.seeds, options.cache, console)
    console.print(table())


if __name__ == "__main__":
    main()
