"""Figure and numbers of the scenario `digits` in README.md and lab/results.md, from results/digits.

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
from tables import HOLD, final, paired, plus_minus, points  # noqa: E402
from tuning import choose  # noqa: E402

from distreal_sim.results.plots.accuracy import accuracy  # noqa: E402
from distreal_sim.results.protocols import cost  # noqa: E402
from distreal_sim.results.runs import Run  # noqa: E402
from distreal_sim.results.statistics import t_interval  # noqa: E402

SCENARIO = scenarios.load("digits")
RESULTS = HERE / "results" / "digits"
FIGURE = HERE.parents[1] / "lab" / "figures" / "digits_equal_terms.png"


def main() -> None:
    """Draws the figure, prints the texts."""
    accuracy(runs(), targets=SCENARIO.targets, out=FIGURE)
    print("\n".join([*texts(), *readme()]))


def texts() -> list[str]:
    """Rows of the table, best first: accuracy, differences to the baselines, seconds, what was tuned."""
    finals, times, rates = of_methods(), seconds(), tuned()
    rows = []
    for method in ranked(finals):
        own = finals[method]
        minus = ["" if method == rival else paired(own, finals[rival]) for rival in SCENARIO.baselines]
        cells = [method, plus_minus(*t_interval(own)), *minus, *times[method], rates[method]]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def readme() -> list[str]:
    """The README's sentence on the front over vectors and steps; its claims are asserted."""
    finals = of_methods()
    own, rivals = finals["distreal-steps"], [finals[name] for name in SCENARIO.baselines]
    level, ahead = (paired(own, rival) for rival in rivals)
    (low, high), (least, _) = (bounds(own - rival) for rival in rivals)
    assert low <= 0 <= high
    assert least > 0
    return [f"level with `fedavg-partial` ({level}) and ahead of a front over vectors alone ({ahead})"]


def bounds(values: pd.Series[float]) -> tuple[float, float]:
    """Of the 95 % t interval of the mean."""
    mean, half = t_interval(values)
    return mean - half, mean + half


def of_methods() -> dict[str, pd.Series[float]]:
    """By method and seed the final accuracy."""
    return final(RESULTS / "evaluations.csv", SCENARIO.last)


def ranked(finals: dict[str, pd.Series[float]]) -> list[str]:
    """Methods, that of highest mean first."""
    return sorted(finals, key=lambda name: -finals[name].mean())


def seconds() -> dict[str, list[str]]:
    """By method the median simulated seconds to each target; `-` where half of the seeds do not get there."""
    found: dict[str, list[str]] = {}
    for target in SCENARIO.targets:
        for row in cost(points(RESULTS / "evaluations.csv"), target, HOLD).to_dict("records"):
            there = row["sim_s"] < float("inf")
            found.setdefault(row["method"], []).append(f"{row['sim_s']:.0f}" if there else "-")
    return found


def tuned() -> dict[str, str]:
    """By method the learning rate that was chosen, and the other tuned keys. None stands at an edge."""
    found = {}
    for method, grid in pd.read_csv(RESULTS / "tuning.csv").groupby("method"):
        best = choose(grid)
        more = "".join(f", {key.rpartition('.')[2]} {value}" for key, value in best.tuned.items())
        edge = f" (edge: {best.at_edge})" if best.at_edge else ""
        found[str(method)] = f"{best.lr:g}{more}{edge}"
    return found


def runs() -> list[Run]:
    """The rows of each method and seed as a run, best method first."""
    known = scenarios.known_methods()
    methods = {name: known[name].sets["method.name"] for name in ranked(of_methods())}
    return runs_of(pd.read_csv(RESULTS / "evaluations.csv"), methods)


if __name__ == "__main__":
    main()
