"""What a front of the benchmark that was searched centrally is worth by either score of `search`.

python experiments/when_thinning_pays/measure_fleet.py c16 --data-dir data
python experiments/when_thinning_pays/measure_fleet.py mnist_writers --searched-in-fleet --data-dir data
python experiments/when_thinning_pays/measure_fleet.py mnist_writers --searched-in-fleet --weak 0.9 \\
    --data-dir data
python experiments/when_thinning_pays/fleet.py

`central` as the front was searched: a network trained by itself. `federated`: a round of the scenario's
cohort, half of which has the entry, with the learning rate that was tuned for the method there and as many
mini-batches as the median client plans. Fresh seeds, the same for all entries. With --searched-in-fleet the
front is the one that rounds of the fleet scored, and only that score is measured, with AGAIN seeds, many more
than its search had; with --weak another share of the cohort has the entry than half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from measure_stages import HERE

from distreal_sim.base.process import prepare_process
from distreal_sim.fronts.file import read_front
from distreal_sim.search.objective import make_objective
from distreal_sim.search.settings import load_search
from distreal_sim.search.space import Pair

SCENARIOS = HERE.parent / "benchmark" / "scenarios"

RUNS = {
    "digits": (0.3, 8, 16),
    "c16": (1.0, 16, 8),
    "phones": (1.0, 8, 8),
    "mnist_writers": (0.1, 4, 4),
    "mnist_dirichlet": (0.03, 4, 4),
}
"""Learning rate that was tuned for `distreal-steps`, mini-batches of the median client, repeats."""

AGAIN = 8
"""Fresh seeds of each snapshot with --searched-in-fleet."""

SEARCHED_FOR = {"mnist_dirichlet": "mnist_writers"}
"""Scenarios whose front is another one's, with its search."""


def main() -> None:
    """Writes results/fleet/SCENARIO.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", choices=list(RUNS))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--searched-in-fleet", action="store_true")
    parser.add_argument(
        "--weak", type=float, help="with --searched-in-fleet: share of the cohort that is weak"
    )
    options = parser.parse_args()
    prepare_process()
    if options.searched_in_fleet:
        folder = SCENARIOS / options.scenario
        keys, name = [f"reevaluation={AGAIN}"], f"{options.scenario}-searched"
        if options.weak is not None:
            keys.append(f"weak={options.weak}")
            name += "-weak"
        write(measure(folder / "front.json", folder / "search.yaml", "federated", keys, options), name)
        return
    if options.weak is not None:
        parser.error("--weak is for --searched-in-fleet")
    lr, steps, repeats = RUNS[options.scenario]
    federated = ["score=federated", f"lr={lr}", f"steps={steps}"]
    scores = {"central": [], "federated": federated}
    front = SCENARIOS / options.scenario / "central.json"
    search = SCENARIOS / SEARCHED_FOR.get(options.scenario, options.scenario) / "search_central.yaml"
    tables = [
        measure(front, search, score, [*keys, f"reevaluation={repeats}"], options)
        for score, keys in scores.items()
    ]
    write(pd.concat(tables), options.scenario)


def write(table: pd.DataFrame, name: str) -> None:
    """As results/fleet/NAME.csv."""
    path = HERE / "results" / "fleet" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


def measure(
    front: Path, config: Path, score: str, keys: list[str], options: argparse.Namespace
) -> pd.DataFrame:
    """Drops of the loss with the front's entries and with fewer steps of the full network.

    config: of the search whose settings are used, but for `keys`, with the experiment beside the front.
    Columns: score, kind (`front` or `full`), relative_macs, share, steps (before the snapshot), repeat, drop.
    """
    keys = [*keys, f"experiment={front.parent / 'experiment.yaml'}"]
    if options.data_dir is not None:
        keys.append(f"experiment.dataset.data_dir={options.data_dir.resolve()}")
    search, experiment, _ = load_search(config, keys)
    objective = make_objective(search, experiment)
    space, full = objective.space, objective.space.structure.full_counts()
    entries = [Pair(entry.counts, entry.share) for entry in read_front(front).entries]
    scores = {c: objective.score(c, "reevaluation") for c in dict.fromkeys(pair.counts for pair in entries)}
    asked = [("front", pair) for pair in entries] + [("full", Pair(full, s)) for s in scores[full].by_share]
    rows = []
    for kind, pair in asked:
        drops = np.array(scores[pair.counts].after(pair.share).drops)
        for (snapshot, repeat), drop in np.ndenumerate(drops):
            macs = space.cost(pair)
            rows.append((score, kind, macs, pair.share, search.snapshots[snapshot], repeat, drop))
    columns = ["score", "kind", "relative_macs", "share", "steps", "repeat", "drop"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    main()
