"""Numbers of the studies in lab/results.md: another fleet, more rounds, widths, spreads of devices.

python experiments/benchmark/studies.py
"""

from __future__ import annotations

import functools
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import scenario as scenarios  # noqa: E402
from page import RESULTS, against_the_better, changes, evaluations, of_methods, rows  # noqa: E402
from tables import NOMINAL, paired, plus_minus  # noqa: E402

from distreal_sim.results.statistics import t_interval  # noqa: E402

RIVAL = "fedavg-partial"
LONG = "c16_long"
FRESH = ("c16_fresh", "phones_fresh")
"""Scenarios with seeds that no rule of fronts was settled on."""
LIKE_A_SCENARIO = ("c16_halves", LONG, *FRESH)
"""Studies whose tables are those of a scenario."""
SPREADS = ("spread_writers", "spread_dirichlet")
EQUAL = "equal devices"
"""Their condition; without it devices differ."""
WIDTHS = "widths"
STAGES = HERE.parent / "when_thinning_pays"


def main() -> None:
    """Prints the texts."""
    print("\n".join(texts()))


def texts() -> list[str]:
    """Rows of the tables, study by study; what changes of a method make on LONG; and the front over
    vectors and steps minus the better of the baselines.
    """
    found = [row for name in LIKE_A_SCENARIO if placed(name) for row in rows(scenarios.load(name))]
    found += [*changes(LONG), *(against_the_better(name) for name in (LONG, *FRESH))]
    found += [row for name in SPREADS if placed(name) for row in spread(name)]
    return [*found, *(by_width() if placed(WIDTHS) else [])]


def placed(name: str) -> bool:
    """Whether a study has results."""
    return evaluations(name).exists()


def spread(name: str) -> list[str]:
    """Of a scenario's methods: final accuracy and its difference to the rival's, with equal devices and with
    unequal ones, and the difference that unequal devices make; all paired by seed.
    """
    scenario = scenarios.load(name)
    table = pd.read_csv(RESULTS / name / "conditions.csv").sort_values("round")
    groups = table.groupby(["condition", "method", "seed"])["accuracy"]
    finals = groups.apply(lambda values: values.tail(scenario.last).mean())
    found = []
    for method in table["method"].unique():
        cells = [f"{name.removeprefix('spread_')}, {method}"]
        for condition in (EQUAL, NOMINAL):
            own = finals[condition, method]
            cells.append(plus_minus(*t_interval(own)))
            cells.append("" if method == RIVAL else paired(own, finals[condition, RIVAL]))
        cells.append(paired(finals[NOMINAL, method], finals[EQUAL, method]))
        found.append(f"| {' | '.join(cells)} |")
    return found


def by_width() -> list[str]:
    """By width: the rival's final accuracy, the differences of random and of ordered filters to it, and for
    both the largest mean gain over fewer full steps in short trainings, early, in the middle and late; and a
    part of the sentence on them.
    """
    finals = of_methods(scenarios.load(WIDTHS))
    found = []
    widths = sorted({int(label.split(", ")[1]) for label in finals})
    for width in widths:
        rival = finals[f"{RIVAL}, {width}"]
        cells = [str(width), plus_minus(*t_interval(rival))]
        for method, kind in (
            ("distreal-uniform", "random, every batch"),
            ("distreal-ordered", "ordered"),
        ):
            cells += [paired(finals[f"{method}, {width}"], rival), ", ".join(gains(width, kind))]
        found.append(f"| {' | '.join(cells)} |")
    narrow = (finals[f"distreal-uniform, {widths[0]}"] - finals[f"{RIVAL}, {widths[0]}"]).mean()
    return [*found, f"shrinks from {-narrow:.3f} to about a hundredth"]


def gains(width: int, kind: str) -> list[str]:
    """The best mean gain of thinned steps of a kind over fewer full ones, at each stage of training."""
    table = pd.read_csv(STAGES / "results" / f"small_cnn-{width}-digits.csv")
    found = []
    for steps in sorted(table["steps"].unique()):
        own = worth_function()(table[(table["steps"] == steps) & (table["filters"] == kind)])
        found.append("-" if own is None else f"{own.best.value:+.2f}")
    return found


@functools.cache
def worth_function() -> Callable[[pd.DataFrame], object]:
    """`worth` of experiments/when_thinning_pays/figure.py."""
    return runpy.run_path(str(STAGES / "figure.py"))["worth"]


if __name__ == "__main__":
    main()
