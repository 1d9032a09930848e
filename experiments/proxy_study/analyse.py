"""How well scores rank vectors: correlations with intervals, and the figure, from the tables of the study.

python experiments/proxy_study/analyse.py
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RESAMPLES = 2000
EARLY, LAST = 10, 5
"""Rounds that early accuracy is the mean of, and rounds at the end that final values are the mean of."""

OUTCOMES = ("early accuracy", "final accuracy", "final loss")

SNAPSHOT_SETS = ((0,), (0, 30, 100), (30, 100), (30, 100, 300), (0, 30, 100, 300))


def read(name: str) -> list[dict[str, str]]:
    """Rows of one of the study's tables."""
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def outcomes() -> dict[tuple[str, str], np.ndarray]:
    """(setting, outcome) -> (vectors, seeds), the zero vector last; larger is better, so loss is negated."""
    rows = read("training.csv")
    seeds = sorted({row["seed"] for row in rows})
    curves: dict[tuple[str, str, int, str], list[float]] = {}
    for row in rows:
        for column in ("accuracy", "loss"):
            curves.setdefault((row["setting"], row["seed"], int(row["vector"]), column), []).append(
                float(row[column])
            )
    n = 1 + max(int(row["vector"]) for row in rows)
    result = {}
    for setting in dict.fromkeys(row["setting"] for row in rows):

        def table(column: str, rounds: slice, setting: str = setting) -> np.ndarray:
            return np.array(
                [[np.mean(curves[setting, s, v, column][rounds]) for s in seeds] for v in range(n)]
            )

        result[setting, "early accuracy"] = table("accuracy", slice(EARLY))
        result[setting, "final accuracy"] = table("accuracy", slice(-LAST, None))
        result[setting, "final loss"] = -table("loss", slice(-LAST, None))
    return result


def drops() -> dict[tuple[str, int], dict[int, np.ndarray]]:
    """(pre-training, steps) -> snapshot -> (vectors, repeats)."""
    cells: dict[tuple[str, int], dict[int, dict[int, list[float]]]] = {}
    for row in read("drops.csv"):
        by_snapshot = cells.setdefault((row["pretraining"], int(row["steps"])), {})
        by_snapshot.setdefault(int(row["snapshot"]), {}).setdefault(int(row["vector"]), []).append(
            float(row["drop"])
        )
    return {
        key: {s: np.array([values[v] for v in sorted(values)]) for s, values in by_snapshot.items()}
        for key, by_snapshot in cells.items()
    }


def within(score: np.ndarray, outcome: np.ndarray, level: np.ndarray) -> float:
    """Rank correlation among vectors of about equal cost: ranks within each level, levels pooled."""
    ranks = []
    for values in (score, outcome):
        own = np.empty(len(values))
        for one in np.unique(level):
            ranked = rankdata(values[level == one])
            own[level == one] = ranked - ranked.mean()
        ranks.append(own)
    norm = np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1])
    return float(ranks[0] @ ranks[1] / norm) if norm else 0.0


def partial(score: np.ndarray, outcome: np.ndarray, macs: np.ndarray) -> float:
    """Spearman's correlation given the rank of the cost."""
    ab, ac, bc = (
        float(spearmanr(x, y).statistic) for x, y in ((score, outcome), (score, macs), (outcome, macs))
    )
    spread = (1 - ac**2) * (1 - bc**2)
    return (ab - ac * bc) / spread**0.5 if spread > 1e-9 else 0.0


def spearman(score: np.ndarray, outcome: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(score, outcome).statistic)


class Study:
    """The tables, without the zero vector, whose score only serves to scale the others'."""

    def __init__(self) -> None:
        rows = read("vectors.csv")[:-1]
        self.level = np.array([float(row["level"]) for row in rows])
        self.macs = np.array([float(row["relative_macs"]) for row in rows])
        self.kind = [row["kind"] for row in rows]
        self.outcomes, self.drops = outcomes(), drops()

    def score(
        self, pretraining: str, steps: int, snapshots: Sequence[int], repeats: int, *, scaled: bool = False
    ) -> np.ndarray:
        """(vectors, repeats) mean drops; scaled: each snapshot's are divided by the zero vector's there."""
        parts = []
        for snapshot in snapshots:
            values = self.drops[pretraining, steps][snapshot][:, :repeats]
            parts.append(values / abs(values[-1].mean()) if scaled else values)
        return np.mean(parts, axis=0)[:-1]

    def interval(self, statistic: Any, score: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
        """95 % percentile bootstrap: vectors within levels, repeats and seeds are drawn anew together."""
        rng = np.random.default_rng(1)
        values = []
        places = [np.flatnonzero(self.level == one) for one in np.unique(self.level)]
        for _ in range(RESAMPLES):
            v = np.concatenate([rng.choice(own, len(own)) for own in places])
            r, s = (rng.integers(x.shape[1], size=x.shape[1]) for x in (score, outcome))
            values.append(statistic(score[v][:, r].mean(axis=1), outcome[v][:, s].mean(axis=1), v))
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return float(low), float(high)

    def correlations(self, score: np.ndarray, outcome: np.ndarray) -> dict[str, float]:
        """All the measures of agreement."""
        a, b = score.mean(axis=1), outcome.mean(axis=1)
        return {
            "spearman": spearman(a, b),
            "kendall": float(kendalltau(a, b).statistic),
            "partial": partial(a, b, self.macs),
            "within": within(a, b, self.level),
        }

    def ceiling(self, outcome: np.ndarray) -> float:
        """How well two independent sets of as many seeds would agree within levels (Spearman-Brown)."""
        n = outcome.shape[1]
        pairs = [
            within(outcome[:, i], outcome[:, j], self.level) for i, j in itertools.combinations(range(n), 2)
        ]
        r = float(np.mean(pairs))
        return n * r / (1 + (n - 1) * r)


def main() -> None:
    """Writes correlations.csv and prints the table of docs/search.md."""
    study = Study()
    rows = []
    for (setting, name), table in study.outcomes.items():
        outcome = table[:-1]
        macs = study.macs[:, None]
        found = study.correlations(macs, outcome)
        rows.append(
            [
                setting,
                name,
                "MACs",
                "",
                "",
                "",
                "",
                *(f"{v:.3f}" for v in found.values()),
                f"{study.ceiling(outcome):.3f}",
            ]
        )
        for (pretraining, steps), snapshots, scaled in itertools.product(
            study.drops, SNAPSHOT_SETS, (False, True)
        ):
            for repeats in (3, 6):
                score = study.score(pretraining, steps, snapshots, repeats, scaled=scaled)
                found = study.correlations(score, outcome)
                key = [pretraining, steps, " ".join(map(str, snapshots)), repeats, int(scaled)]
                rows.append([setting, name, *key, *(f"{v:.3f}" for v in found.values()), ""])
    header = ["setting", "outcome", "pretraining", "steps", "snapshots", "repeats", "scaled"]
    header += ["spearman", "kendall", "partial", "within", "ceiling_within"]
    with (RESULTS / "correlations.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main()
