"""The same comparison against an emulation of the objective, where real trainings would take too long.

    python experiments/cheaper_search/emulate.py --cache DIR [--networks NAME ...] [--seeds 8]

A Gaussian process over at most 600 of the real scores that compare.py left in DIR stands for the objective.
Searches see its mean plus noise of the size of a score's standard error; fronts are measured without noise.
The screening fits the same kind of model to what it has seen, so its gain here is an upper estimate.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from compare import HERE, VARIANTS
from rich.console import Console
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from distreal_sim.base.process import prepare_process
from distreal_sim.config.build import build
from distreal_sim.methods.distreal import Distreal
from distreal_sim.search.archive import Archive
from distreal_sim.search.explore import explore
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.score import Score
from distreal_sim.search.settings import load_search
from distreal_sim.search.space import Space
from distreal_sim.search.table import table_of
from distreal_sim.thinning.structure import Counts

KNOWN = 600
"""Real scores that the emulation is fitted to."""


class Emulation:
    """What takes the place of short trainings."""

    def __init__(self, space: Space, real: dict[Counts, Score]) -> None:
        self.space = space
        self.error = float(np.median([score.error for score in real.values()]))
        chosen = np.random.default_rng(0).permutation(len(real))[:KNOWN]
        vectors, scores = list(real), list(real.values())
        kernel = ConstantKernel(1.0) * Matern(np.ones(len(space.thinnable)), (0.05, 50.0), nu=2.5)
        process = GaussianProcessRegressor(kernel + WhiteKernel(0.05, (1e-4, 1.0)), normalize_y=True)
        self.process = process.fit(
            self._shares([vectors[i] for i in chosen]), [scores[i].mean for i in chosen]
        )

    def _shares(self, vectors: Sequence[Counts]) -> np.ndarray:
        return np.array([1 - self.space.rates(counts) for counts in vectors])

    def truth(self, vectors: Sequence[Counts]) -> list[float]:
        """Scores without noise."""
        return [float(v) for v in self.process.predict(self._shares(vectors))] if vectors else []

    def seen(self, vectors: Sequence[Counts]) -> list[Score]:
        """Scores as searches see them; the noise of a vector is always the same."""
        noise = [self.error * np.random.default_rng(list(counts)).normal() for counts in vectors]
        return [Score(((t + n,) * 2,)) for t, n in zip(self.truth(vectors), noise, strict=True)]

    def volume(self, entries: list[Counts]) -> float:
        """Hypervolume of a front, without noise."""
        zero = self.truth([self.space.structure.full_counts()])[0]
        points = [(self.space.relative_macs(c), t) for c, t in zip(entries, self.truth(entries), strict=True)]
        return hypervolume(points, zero)


def main() -> None:
    """Prints mean and paired difference from plain NSGA-II with twice its standard error."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--cache", type=Path, required=True, help="directory of compare.py's scores")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "dense22.Dense22"])
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    prepare_process()
    console = Console(width=130)
    for network in options.networks:
        search, experiment, _ = load_search(HERE / "digits.yaml", [f"experiment.model={{name: {network}}}"])
        assert isinstance(experiment.method, Distreal)
        structure = build(experiment).structure
        groups = structure.thinnable(experiment.method.drop_linear)
        space = Space(structure, groups, search.d_max, search.smallest)
        real = Archive(options.cache / f"{network}.search.jsonl", space).scores
        emulation = Emulation(space, real)
        console.print(f"{network}: uniform {emulation.volume(space.uniform(search.entries)):.4f}")
        volumes = {}
        for name, changes in VARIANTS.items():
            found = [
                explore(space, search.model_copy(update={**changes, "seed": seed}), emulation.seen)
                for seed in range(1, options.seeds + 1)
            ]
            tables = [table_of(space, f.scores, search.over, search.entries) for f in found]
            volumes[name] = np.array([emulation.volume([pair.counts for pair in table]) for table in tables])
            gains = volumes[name] - volumes["plain"]
            error = gains.std(ddof=1) / math.sqrt(len(gains))
            console.print(f"{name}: {volumes[name].mean():.4f}, {gains.mean():+.4f} +- {2 * error:.4f}")


if __name__ == "__main__":
    main()
