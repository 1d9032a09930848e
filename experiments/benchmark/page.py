"""The benchmark's numbers in README.md and lab/results.md, and the figure of the scenario `digits`.

python experiments/benchmark/page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import scenario as scenarios  # noqa: E402
from curves import runs_of  # noqa: E402
from scenario import Scenario  # noqa: E402
from tables import HOLD, final, paired, plus_minus, points  # noqa: E402
from tuning import choose  # noqa: E402

from distreal_sim.results.plots.accuracy import accuracy  # noqa: E402
from distreal_sim.results.protocols import cost  # noqa: E402
from distreal_sim.results.runs import Run  # noqa: E402
from distreal_sim.results.statistics import t_interval  # noqa: E402

RESULTS = HERE / "results"
FIGURE = HERE.parents[1] / "lab" / "figures" / "digits_equal_terms.png"
README = "digits"
"""The scenario of the figure and of the README."""


def main() -> None:
    """Draws the figure, prints the texts."""
    accuracy(runs(), targets=scenarios.load(README).targets, out=FIGURE)
    print("\n".join([*texts(), *readme()]))


def texts() -> list[str]:
    """Rows of the tables, scenario by scenario."""
    return [row for name in placed() for row in rows(scenarios.load(name))]


def placed() -> list[str]:
    """Names of the scenarios that have results."""
    return [name for name in scenarios.names() if evaluations(name).exists()]


def rows(scenario: Scenario) -> list[str]:
    """Of a scenario, best first: accuracy, differences to the baselines, seconds, what was tuned."""
    finals, times, rates = of_methods(scenario), seconds(scenario), tuned(scenario)
    found = []
    for method in ranked(finals):
        own = finals[method]
        minus = ["" if method == rival else paired(own, finals[rival]) for rival in scenario.baselines]
        cells = [method, plus_minus(*t_interval(own)), *minus, *times[method], rates[method]]
        found.append(f"| {' | '.join(cells)} |")
    return found


def readme() -> list[str]:
    """The README's sentence on the front over vectors and steps; its claims are asserted."""
    scenario = scenarios.load(README)
    finals = of_methods(scenario)
    own, rivals = finals["distreal-steps"], [finals[name] for name in scenario.baselines]
    level, ahead = (paired(own, rival) for rival in rivals)
    (low, high), (least, _) = (bounds(own - rival) for rival in rivals)
    assert low <= 0 <= high
    assert least > 0
    return [f"level with `fedavg-partial` ({level}) and ahead of a front over vectors alone ({ahead})"]


def bounds(values: pd.Series[float]) -> tuple[float, float]:
    """Of the 95 % t interval of the mean."""
    mean, half = t_interval(values)
    return mean - half, mean + half


def evaluations(name: str) -> Path:
    """The table of a scenario's runs."""
    return RESULTS / name / "evaluations.csv"


def of_methods(scenario: Scenario) -> dict[str, pd.Series[float]]:
    """By method and seed the final accuracy."""
    return final(evaluations(scenario.name), scenario.last)


def ranked(finals: dict[str, pd.Series[float]]) -> list[str]:
    """Methods, that of highest mean first."""
    return sorted(finals, key=lambda name: -finals[name].mean())


def seconds(scenario: Scenario) -> dict[str, list[str]]:
    """By method the median simulated seconds to each target; `-` where half of the seeds do not get there."""
    found: dict[str, list[str]] = {}
    for target in scenario.targets:
        for row in cost(points(evaluations(scenario.name)), target, HOLD).to_dict("records"):
            there = row["sim_s"] < float("inf")
            found.setdefault(row["method"], []).append(f"{row['sim_s']:.0f}" if there else "-")
    return found


def tuned(scenario: Scenario) -> dict[str, str]:
    """By method the learning rate that was chosen, and the other tuned keys, with the edges they stand at."""
    found = {}
    for method, grid in pd.read_csv(RESULTS / scenario.name / "tuning.csv").groupby("method"):
        best = choose(grid)
        more = "".join(f", {key.rpartition('.')[2]} {value}" for key, value in best.tuned.items())
        edge = f" (edge: {best.at_edge})" if best.at_edge else ""
        found[str(method)] = f"{best.lr:g}{more}{edge}"
    return found


def runs() -> list[Run]:
    """The rows of each method and seed as a run, best method first."""
    known = scenarios.known_methods()
    methods = {name: known[name].sets["method.name"] for name in ranked(of_methods(scenarios.load(README)))}
    return runs_of(pd.read_csv(evaluations(README)), methods)


if __name__ == "__main__":
    main()
