"""Progress of thinned steps and of fewer full steps, for one network: a table for the figure.

python experiments/when_thinning_pays/measure_stages.py small_cnn-digits
python experiments/when_thinning_pays/measure_stages.py small_cnn-mnist --data-dir data
python experiments/when_thinning_pays/figure.py

Short trainings as those of `distreal-sim search`, with uniform rates and three ways to choose the filters
that stay: drawn for every mini-batch, drawn once (as a client that keeps them for a round), and the first
ones. Those that are drawn start from the same snapshots; the first ones from snapshots of a network that was
trained with first filters.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from distreal_sim.base.process import prepare_process
from distreal_sim.search.objective import Objective, make_objective
from distreal_sim.search.settings import load_search

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs" / "search"

NETWORKS = {
    "small_cnn-digits": ("digits_small_cnn", (0, 60, 400), 8),
    "small_cnn-mnist": ("mnist_small_cnn", (0, 100, 1000), 4),
    "femnist_cnn-mnist": ("mnist_femnist_cnn", (0, 40, 200), 4),
    "cnn_cifar-cifar10": ("cifar10_cnn_cifar", (0, 300, 2000), 4),
    "resnet20-cifar10": ("cifar10_resnet20", (0, 300, 2000), 4),
    "densenet40_bc-cifar10": ("cifar10_densenet40_bc", (0, 300, 2000), 2),
}
"""Search config, snapshots (early, middle, late) and repeats of each."""

WIDTHS = {f"small_cnn-{width}-digits": width for width in (8, 16, 32, 64)}
"""small_cnn on the digits with so many channels in its first convolution; else as `small_cnn-digits`."""

STEPS = 32
"""Mini-batches of a short training."""

VECTORS = 8
"""Uniform vectors, the zero vector among them."""


def main() -> None:
    """Writes results/NAME.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=[*NETWORKS, *WIDTHS])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    prepare_process()
    width = WIDTHS.get(options.network)
    config, snapshots, repeats = NETWORKS["small_cnn-digits" if width else options.network]
    common = [f"steps={STEPS}", f"repeats={repeats}", "shares=[1]", "data=clients", "pretraining=mixed"]
    common.append(f"snapshots={list(snapshots)}")
    if width is not None:
        common.append(f"experiment.model.width={width}")
    if options.data_dir is not None:
        common.append(f"experiment.dataset.data_dir={options.data_dir.resolve()}")
    path = str(CONFIGS / f"{config}.yaml")
    random, ordered = (
        make_objective(*load_search(path, [*common, f"experiment.method.filters={filters}"])[:2])
        for filters in ("random", "ordered")
    )
    once = replace(random, method=random.method.model_copy(update={"resample": "round"}))
    kinds = {"random, every batch": random, "random, once": once, "ordered": ordered}
    rows = [row for kind, objective in kinds.items() for row in measure(kind, objective)]
    table = pd.DataFrame(rows, columns=["filters", "relative_macs", "share", "steps", "repeat", "drop"])
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(
        options.out / f"{options.network}.csv", index=False, float_format="%.5g", lineterminator="\n"
    )


def measure(kind: str, objective: Objective) -> Iterator[tuple[str, float, float, int, int, float]]:
    """Rows: filters, relative MACs, share of the steps, the snapshot's steps, repeat, drop of the loss."""
    for counts in objective.space.uniform(VECTORS):
        macs = objective.space.relative_macs(counts)
        for share, score in objective.score(counts, "search").by_share.items():
            for steps, drops in zip(objective.search.snapshots, score.drops, strict=True):
                for repeat, drop in enumerate(drops):
                    yield kind, macs, share, steps, repeat, drop
        print(f"{kind}: {macs:.3f} of the MACs", flush=True)


if __name__ == "__main__":
    main()
