"""What a search costs beside its trainings, and what a second worker brings.

    python benchmarks/search.py [--config CONFIG.yaml] [--evaluations 60] [--pairs 5] [KEY=VALUE ...]

Each turn makes the same search three times, with the same vectors and scores, one right after the other and
in changing order:

- bare: the trainings alone, `Objective.score` of each vector in a plain loop in this process;
- one: the whole search in this process, NSGA-II and its screening, the archive with its syncs, its tables;
- two: the same with two Ray workers.

overhead: one / bare - 1, by wall time, and by processor time, which a busy machine disturbs less (at most
10 % wanted). speed-up: one / two, evaluations per second with two workers over those with one (at least 1.7
wanted). The numbers are medians over the turns of ratios within a turn. The snapshots, which are central
training, and the start of Ray and its processes are left out; they are shown by themselves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from distreal_sim.base.process import prepare_process
from distreal_sim.search.archive import Archive
from distreal_sim.search.directory import open_directory
from distreal_sim.search.explore import Evaluate, Generation, explore
from distreal_sim.search.objective import Objective, make_objective
from distreal_sim.search.score import Score
from distreal_sim.search.settings import load_search
from distreal_sim.search.workers import open_workers
from distreal_sim.thinning.structure import Counts

CONFIG = Path(__file__).parent.parent / "configs" / "search" / "digits_small_cnn.yaml"


def whole(objective: Objective, experiment: Any, evaluate: Evaluate) -> dict[Counts, Score]:
    """A search as `run_search` makes it, into a directory that is removed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_directory(Path(folder) / "search", objective.search, experiment, resume=False) as directory,
    ):
        directory.begin()
        archive = Archive(directory.evaluations, objective.space)
        rows: list[Generation] = []

        def on_generation(row: Generation) -> None:
            rows.append(row)
            directory.write_generations(rows)
            directory.write_status(wall_s=0.0)

        return explore(objective.space, objective.search, archive.filling(evaluate), on_generation).scores


def bare(objective: Objective, vectors: Sequence[Counts]) -> dict[Counts, Score]:
    """The trainings of a search and nothing else."""
    return {counts: objective.score(counts, "search") for counts in vectors}


def timed(work: Callable[[], dict[Counts, Score]], expected: dict[Counts, Score]) -> tuple[float, float]:
    """Wall and processor seconds (of this process) of a search that must give the expected scores."""
    wall, cpu = time.perf_counter(), time.process_time()
    scores = work()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    assert list(scores.items()) == list(expected.items()), "another search than the one before"
    return spent


def measure(options: argparse.Namespace, console: Console) -> list[dict[str, float]]:
    """A record for each turn."""
    limits = [f"evaluations={options.evaluations}", "generations=1000", "stall=null"]
    search, experiment, _ = load_search(options.config, [*limits, *options.overrides])
    begin = time.perf_counter()
    objective = make_objective(search, experiment)
    snapshots_wall_s = time.perf_counter() - begin
    records = []
    begin = time.perf_counter()
    with open_workers(objective, 1) as here, open_workers(objective, 2) as there:
        one, two = here("search"), there("search")
        full = objective.space.structure.full_counts()
        list(two([full] * 4))  # both processes have begun and hold the objective
        console.print(
            f"snapshots {snapshots_wall_s:.1f} s, Ray {time.perf_counter() - begin:.1f} s; not counted"
        )
        expected = whole(objective, experiment, one)  # warms this process
        ways: dict[str, Callable[[], dict[Counts, Score]]] = {
            "bare": lambda: bare(objective, list(expected)),
            "one": lambda: whole(objective, experiment, one),
            "two": lambda: whole(objective, experiment, two),
        }
        order = list(ways)
        for turn in range(options.pairs):
            spent = {name: timed(ways[name], expected) for name in order}
            order = order[1:] + order[:1]  # nobody always runs after the same neighbour
            record = {f"{name}_wall_s": spent[name][0] for name in ways}
            record["evaluations"] = len(expected)
            record["overhead_wall"] = spent["one"][0] / spent["bare"][0] - 1
            record["overhead_cpu"] = spent["one"][1] / spent["bare"][1] - 1
            record["speedup"] = spent["one"][0] / spent["two"][0]
            records.append(record)
            console.print(f"turn {turn + 1}: " + ", ".join(f"{k} {v:.3f}" for k, v in record.items()))
    return records


def table(records: list[dict[str, float]]) -> Table:
    """Medians and ranges."""
    result = Table(title=f"a search of {records[0]['evaluations']} vectors")
    for head in ("", "median", "range", "wanted"):
        result.add_column(head, justify="left" if not head else "right")
    wanted = {"overhead_wall": "<= 10 %", "overhead_cpu": "<= 10 %", "speedup": ">= 1.7"}
    for key in records[0]:
        if key == "evaluations":
            continue
        values = [record[key] for record in records]
        shown = [f"{100 * v:.1f} %" if "overhead" in key else f"{v:.2f}" for v in sorted(values)]
        middle = statistics.median(values)
        median = f"{100 * middle:.1f} %" if "overhead" in key else f"{middle:.2f}"
        result.add_row(key, median, f"{shown[0]} to {shown[-1]}", wanted.get(key, ""))
    return result


def main() -> None:
    """Measures and prints; leaves no files but --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="keys of the search")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=5, help="turns of all three")
    parser.add_argument("--json", type=Path, help="write one record per turn to this file")
    options = parser.parse_args()
    prepare_process()
    console = Console()
    records = measure(options, console)
    console.print(table(records))
    if options.json is not None:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
