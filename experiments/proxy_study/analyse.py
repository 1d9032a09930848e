"""How well scores rank vectors: correlations with intervals, and the figure, from the tables of the study.

python experiments/proxy_study/analyse.py
"""

from __future__ import annotations

import csv
import functools
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau, rankdata

from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._save import look, save

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import between  # noqa: E402

RESULTS = HERE / "results"
FIGURE = HERE.parents[1] / "lab" / "figures" / "proxy_study.png"
RESAMPLES = 500
COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00")
EARLY, LAST = 10, 5
"""Rounds that early accuracy is the mean of, and rounds at the end that final values are the mean of."""

SNAPSHOT_SETS = (
    *((0,), (30,), (100,), (300,)),
    *((0, 30), (0, 100), (30, 100), (0, 30, 100), (30, 100, 300), (0, 30, 100, 300)),
)

Score = tuple[str, int, tuple[int, ...]]
"""Kind of short training, steps, snapshots."""

SHOWN = (
    ("full", 10, (0, 30, 100)),
    ("full", 30, (0, 30, 100)),
    ("full", 100, (0, 30, 100)),
    ("full", 30, (300,)),
    ("mixed", 10, (0, 30, 100)),
    ("mixed", 30, (0, 30, 100)),
    ("mixed", 100, (0, 30, 100)),
    ("mixed", 100, (0, 100)),
    ("mixed", 100, (300,)),
    ("mixed", 100, (0,)),
    ("clients", 30, (0, 30, 100, 300)),
    ("clients", 100, (0, 100)),
    ("federated", 10, (0, 30, 100, 300)),
    ("federated", 30, (0, 30, 100, 300)),
    ("federated", 30, (0, 100)),
)
"""Scores in the table of lab/search.md."""


def read(name: str) -> list[dict[str, str]]:
    """Rows of one of the study's tables."""
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def outcomes() -> dict[tuple[str, str], np.ndarray]:
    """(setting, outcome) -> (vectors, seeds), the zero vector last; larger is better, so loss is negated."""
    curves: dict[tuple[str, str], dict[int, list[list[float]]]] = {}
    for row in read("training.csv"):
        vectors = curves.setdefault((row["setting"], row["seed"]), {})
        vectors.setdefault(int(row["vector"]), []).append([float(row["accuracy"]), -float(row["loss"])])
    result: dict[tuple[str, str], list[np.ndarray]] = {}
    for (setting, _), by_vector in curves.items():
        whole = np.array([by_vector[v] for v in sorted(by_vector)])  # (vectors, rounds, 2)
        result.setdefault((setting, "early accuracy"), []).append(whole[:, :EARLY, 0].mean(axis=1))
        result.setdefault((setting, "final accuracy"), []).append(whole[:, -LAST:, 0].mean(axis=1))
        result.setdefault((setting, "final loss"), []).append(whole[:, -LAST:, 1].mean(axis=1))
    return {key: np.array(by_seed).T for key, by_seed in result.items()}


def drops() -> dict[tuple[str, int], dict[int, np.ndarray]]:
    """(kind, steps) -> snapshot -> (vectors, repeats)."""
    cells: dict[tuple[str, int], dict[int, dict[int, list[float]]]] = {}
    for row in read("drops.csv"):
        by_snapshot = cells.setdefault((row["score"], int(row["steps"])), {})
        by_snapshot.setdefault(int(row["snapshot"]), {}).setdefault(int(row["vector"]), []).append(
            float(row["drop"])
        )
    return {
        key: {s: np.array([values[v] for v in sorted(values)]) for s, values in by_snapshot.items()}
        for key, by_snapshot in cells.items()
    }


def within(score: np.ndarray, outcome: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(...) rank correlation among vectors of about equal cost: ranks within each level, levels pooled.

    score, outcome: (..., vectors); level: (vectors,).
    """
    ranks = []
    for values in (score, outcome):
        own = np.empty(values.shape)
        for one in np.unique(level):
            ranked = rankdata(values[..., level == one], axis=-1)
            own[..., level == one] = ranked - ranked.mean(axis=-1, keepdims=True)
        ranks.append(own)
    return _correlation(*ranks)


def partial(score: np.ndarray, outcome: np.ndarray, macs: np.ndarray) -> float:
    """Spearman's correlation given the rank of the cost."""
    ab, ac, bc = (float(spearman(x, y)) for x, y in ((score, outcome), (score, macs), (outcome, macs)))
    spread = (1 - ac**2) * (1 - bc**2)
    return (ab - ac * bc) / spread**0.5 if spread > 1e-9 else 0.0


def spearman(score: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """(...) Spearman's rank correlation of (..., vectors) and (..., vectors)."""
    ranks = [rankdata(values, axis=-1) for values in (score, outcome)]
    return _correlation(*(own - own.mean(axis=-1, keepdims=True) for own in ranks))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of centred values along the last axis; 0 where one of them is constant."""
    norm = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a * b).sum(axis=-1) / np.where(norm > 0, norm, np.inf))


@functools.cache
def draws(level: bytes, n_repeats: int, n_seeds: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of every resample the vectors, repeats and seeds; level: (vectors,) float64, as bytes."""
    levels = np.frombuffer(level)
    rng = np.random.default_rng(1)
    places = [np.flatnonzero(levels == one) for one in np.unique(levels)]
    found = []
    for _ in range(RESAMPLES):
        v = np.concatenate([rng.choice(own, len(own)) for own in places])
        found.append((v, *(rng.integers(n, size=n) for n in (n_repeats, n_seeds))))
    return found


class Study:
    """The tables, without the zero vector, whose score only serves to scale the others'."""

    def __init__(self) -> None:
        rows = read("vectors.csv")[:-1]
        self.level = np.array([float(row["level"]) for row in rows])
        self.macs = np.array([float(row["relative_macs"]) for row in rows])
        self.kind = [row["kind"] for row in rows]
        self.outcomes, self.drops = outcomes(), drops()

    def score(
        self, kind: str, steps: int, snapshots: Sequence[int], repeats: int, *, scaled: bool = False
    ) -> np.ndarray:
        """(vectors, repeats) mean drops; scaled: each snapshot's are divided by the zero vector's there."""
        parts = []
        for snapshot in snapshots:
            values = self.drops[kind, steps][snapshot][:, :repeats]
            parts.append(values / abs(values[-1].mean()) if scaled else values)
        return np.mean(parts, axis=0)[:-1]

    def interval(self, score: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
        """Of `within`; 95 % bootstrap: vectors within levels, repeats and seeds are drawn together."""
        resampled = [
            (score[v][:, r].mean(axis=1), outcome[v][:, s].mean(axis=1))
            for v, r, s in draws(self.level.tobytes(), score.shape[1], outcome.shape[1])
        ]
        a, b = (np.array(column) for column in zip(*resampled, strict=True))
        low, high = np.percentile(within(a, b, self.level), [2.5, 97.5])
        return float(low), float(high)

    def correlations(self, score: np.ndarray, outcome: np.ndarray) -> dict[str, float]:
        """All the measures of agreement."""
        a, b = score.mean(axis=1), outcome.mean(axis=1)
        return {
            "spearman": float(spearman(a, b)),
            "kendall": float(kendalltau(a, b).statistic),
            "partial": partial(a, b, self.macs),
            "within": float(within(a, b, self.level)),
        }

    def ceiling(self, outcome: np.ndarray) -> float:
        """How well two independent sets of as many seeds would agree within levels (Spearman-Brown)."""
        n = outcome.shape[1]
        pairs = [
            within(outcome[:, i], outcome[:, j], self.level) for i, j in itertools.combinations(range(n), 2)
        ]
        r = float(np.mean(pairs))
        return n * r / (1 + (n - 1) * r)


def all_correlations(study: Study) -> list[list[str]]:
    """Every score against every outcome; MACs, as a score, first."""
    rows = []
    for (setting, name), table in study.outcomes.items():
        outcome = table[:-1]
        found = study.correlations(study.macs[:, None], outcome)
        rows.append([setting, name, "MACs", *[""] * 4, *_three(found), f"{study.ceiling(outcome):.3f}"])
        for (kind, steps), snapshots, repeats, scaled in itertools.product(
            sorted(study.drops), SNAPSHOT_SETS, (3, 6), (False, True)
        ):
            score = study.score(kind, steps, snapshots, repeats, scaled=scaled)
            key = [kind, str(steps), " ".join(map(str, snapshots)), str(repeats), str(int(scaled))]
            rows.append([setting, name, *key, *_three(study.correlations(score, outcome)), ""])
    return rows


def _three(found: dict[str, float]) -> list[str]:
    return [f"{value:.3f}" for value in found.values()]


COLUMNS = (("alone", "final loss"), ("mixture", "final loss"))
"""Settings and outcomes of the sentences."""
HALF = ("half", "final loss")
"""The third setting of the table."""

CHOSEN, FIRST = ("mixed", 100, (0, 100)), ("full", 30, (0, 30, 100))
"""The scores that the text compares."""


def texts() -> list[str]:
    """What lab/search.md says, recomputed: rows of the table, and sentences."""
    return [*rows(Study()), *sentences(Study())]


def rows(study: Study) -> list[str]:
    """The table, with intervals at equal cost."""
    macs = np.repeat(study.macs[:, None], 2, axis=1)
    named = [("MACs, no training at all", macs)]
    for score in SHOWN:
        named.append((name_of(score), study.score(*score, 6)))
    lines = []
    for name, score in named:
        cells = [name]
        for column in (*COLUMNS, HALF):
            outcome = study.outcomes[column][:-1]
            found = study.correlations(score, outcome)
            low, high = study.interval(score, outcome)
            cells += [f"{found['spearman']:.2f}", f"{found['within']:.2f} ({low:.2f} to {high:.2f})"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def name_of(score: Score) -> str:
    """As the table calls it."""
    kind, steps, snapshots = score
    places = " ".join(map(str, snapshots))
    return f"`{kind}`, {steps} steps, snapshot{'s' * (len(snapshots) > 1)} {places}"


def sentences(study: Study) -> list[str]:
    """Parts of the text."""

    def two(score: Score, key: str = "within", repeats: int = 6, *, scaled: bool = False) -> str:
        values = study.score(*score, repeats, scaled=scaled)
        both = [study.correlations(values, study.outcomes[column][:-1])[key] for column in COLUMNS]
        return " and ".join(f"{value:.2f}" for value in both)

    def early(score: Score) -> str:
        values = study.score(*score, 6)
        outcomes = [study.outcomes[setting, "early accuracy"][:-1] for setting, _ in COLUMNS]
        return " and ".join(f"{study.correlations(values, own)['within']:.2f}" for own in outcomes)

    macs = [study.correlations(study.macs[:, None], study.outcomes[c][:-1])["spearman"] for c in COLUMNS]
    cheap, levels = study.level == study.level.min(), np.unique(study.level)
    cheapest = f"{100 * levels[0]:.0f} %"
    gains = study.score(*CHOSEN, 6).mean(axis=1)
    assert (gains > 0).all()
    before = study.score(*FIRST, 6).mean(axis=1)[study.level <= levels[1]]
    loss = study.outcomes["mixture", "final loss"][:-1].mean(axis=1)
    spread = {level: np.ptp(loss[study.level == level]) for level in levels}
    return [
        f"a Spearman correlation of {macs[0]:.2f} and {macs[1]:.2f}",
        f"have {two(CHOSEN)} at equal cost there, `full` with 30 steps has {two(FIRST)}",
        f"over all vectors is {two(CHOSEN, 'kendall')}",
        f"partial correlation is {two(CHOSEN, 'partial')}",
        f"({cheapest} of the MACs: {between(gains[cheap], '.2f')})",
        f"gives {between(before, '.2f')} to the ten cheapest",
        f"these two scores have {early(CHOSEN)}, and {early(FIRST)}",
        f"Three repeats instead of six: {two(CHOSEN, repeats=3)}",
        f"does not help: {two(CHOSEN, scaled=True)}",
        f"the five vectors of {cheapest} end within {spread[levels[0]]:.2f}",
        f"those of {100 * levels[2]:.0f} % within {spread[levels[2]]:.2f}",
        *fleet_sentences(study),
    ]


CENTRAL, FEDERATED = ("clients", 30, (0, 30, 100, 300)), ("federated", 30, (0, 30, 100, 300))
"""The scores that are compared, of as many mini-batches a client."""


def fleet_sentences(study: Study) -> list[str]:
    """What the fleet in which half of the clients have the vector says of the two scores."""
    outcome = study.outcomes[HALF][:-1]
    spread = np.ptp(study.outcomes[HALF].mean(axis=1))
    both = [study.correlations(study.score(*score, 6), outcome) for score in (CENTRAL, FEDERATED)]
    at_cost = " and ".join(f"{found['within']:.2f}" for found in both)
    overall = " and ".join(f"{found['spearman']:.2f}" for found in both)
    ceilings = [f"{study.ceiling(study.outcomes[c][:-1]):.2f}" for c in (*COLUMNS, HALF)]
    late, early = (
        f"{study.correlations(study.score('mixed', 100, snapshots, 6), outcome)['within']:.2f}"
        for snapshots in ((300,), (0, 100))
    )
    return [
        f"the final losses of all vectors lie within {spread:.2f}",
        f"agree to {ceilings[0]} (alone), {ceilings[1]} (mixture) and {ceilings[2]} (half)",
        f"the central and the federated score of 30 steps have {at_cost} at equal cost, and {overall} "
        "over all vectors",
        f"with a late snapshot alone `mixed` has {late}, with early ones {early}",
    ]


def draw(study: Study, out: Path) -> None:
    """Old and new score against long training, one colour a cost."""
    scores = [("full", 30, (0, 30, 100)), ("mixed", 100, (0, 100))]
    columns = [("alone", "final loss"), ("mixture", "final loss")]
    titles = ["each step with the vector", "every other step with it"]
    with look():
        figure = Figure(figsize=(6.3, 4.8))
        panels = figure.subplots(2, 2, sharex="col")
        for row, (kind, steps, snapshots) in enumerate(scores):
            score = study.score(kind, steps, snapshots, 6).mean(axis=1)
            for axes, column, title in zip(panels[row], columns, titles, strict=True):
                outcome = study.outcomes[column][:-1].mean(axis=1)
                for place, level in enumerate(np.unique(study.level)):
                    for drawn, marker in (("uniform", "s"), ("random", "o")):
                        chosen = (study.level == level) & (np.array(study.kind) == drawn)
                        label = f"{100 * level:.0f} %" if drawn == "random" else None
                        axes.plot(outcome[chosen], score[chosen], marker, color=COLOURS[place], label=label)
                at_cost = within(score, outcome, study.level)
                text = f"Spearman {float(spearman(score, outcome)):.2f}, at equal cost {float(at_cost):.2f}"
                axes.text(0.03, 0.95, text, transform=axes.transAxes, fontsize=7.5, va="top")
                if row == 0:
                    axes.set_title(title)
            panels[row][0].set_ylabel(f"Score: {kind}, {steps} steps")
        for axes in panels[1]:
            axes.set_xlabel("Minus test loss after long training")
        handles, labels = panels[0][0].get_legend_handles_labels()
        legend_above(figure, handles, labels, title="Training MACs of the vector (square: uniform rates)")
        save(figure, out)


def main() -> None:
    """Writes correlations.csv and the figure, and prints the table of lab/search.md."""
    study = Study()
    header = ["setting", "outcome", "score", "steps", "snapshots", "repeats", "scaled"]
    header += ["spearman", "kendall", "partial", "within", "ceiling_within"]
    with (RESULTS / "correlations.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *all_correlations(study)])
    draw(study, FIGURE)
    print("\n".join(texts()))


if __name__ == "__main__":
    main()
