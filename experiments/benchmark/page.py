"""The benchmark's numbers in README.md and lab/results.md.

python experiments/benchmark/page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import scenario as scenarios  # noqa: E402
from scenario import Scenario  # noqa: E402
from tables import HOLD, final, paired, plus_minus, points  # noqa: E402
from tuning import choose  # noqa: E402

from distreal_sim.fronts.file import read_front  # noqa: E402
from distreal_sim.results.protocols import cost  # noqa: E402
from distreal_sim.results.statistics import t_interval  # noqa: E402

RESULTS = HERE / "results"
README = "digits"
"""The scenario of the README."""
IMAGES = "c16"
"""The scenario with the most methods."""
FRESH = ("mnist_writers", "mnist_dirichlet")
"""Scenarios with seeds above SETTLED, that of the last runs which the rules of fronts were settled on."""
SETTLED = 15
GAP = "mnist_dirichlet"
"""The scenario of a front with a gap."""
COSINE = ", cosine"
"""How the labels of methods end whose learning rate falls by a cosine."""
SERVERS = "servers"
"""The scenario of ways to merge, which is compared with no better of the baselines."""


def main() -> None:
    """Prints the texts."""
    print("\n".join([*texts(), *readme()]))


def texts() -> list[str]:
    """Rows of the tables, scenario by scenario, and the differences of `against_the_better`."""
    tables = [row for name in placed() for row in rows(scenarios.load(name))]
    return [
        *tables,
        *(against_the_better(name) for name in placed() if name not in (README, SERVERS)),
        *(against_the_better(name, SETTLED) for name in FRESH),
        *gap(),
        *changes(IMAGES),
        *rates(scenarios.load(README)),
    ]


RATES = ("no change", "1 change", "nominal", "4 changes", "20 changes")
"""Conditions in which capacities change so often a round, rising; `nominal` is two."""


def rates(scenario: Scenario) -> list[str]:
    """Final accuracy at each rate of change, and the fastest minus the slowest, paired by seed."""
    table = pd.read_csv(RESULTS / scenario.name / "conditions.csv").sort_values("round")
    found = []
    for method, own in table.groupby("method"):
        finals = {
            condition: rows.groupby("seed")["accuracy"].apply(lambda a: a.tail(scenario.last).mean())
            for condition, rows in own.groupby("condition")
        }
        cells = [plus_minus(*t_interval(finals[rate])) for rate in RATES]
        last = paired(finals[RATES[-1]], finals[RATES[0]])
        found.append(f"| {method} | {' | '.join(cells)} | {last} |")
    return found


CHANGES = {
    "from FedAvg with partial work to `small`": ("small", "fedavg-partial"),
    "from uniform rates to searched ones": ("distreal", "distreal-uniform"),
    "from filters drawn in every step to filters that stay for a round": ("distreal-round", "distreal"),
    "from random filters to the first ones": ("distreal-ordered", "distreal-uniform"),
    "from five widths to sixteen": ("heterofl-16", "heterofl"),
    "from a front over vectors to one over vectors and steps": ("distreal-steps", "distreal"),
    "from the score of central training to that of a fleet": ("distreal-steps", "distreal-steps-central"),
}
"""A change of a method: the label with it, and that without."""


def changes(name: str) -> list[str]:
    """What each of CHANGES makes on a scenario that has both of its methods, and rates that fall by a cosine
    for each method that has them.
    """
    finals = of_methods(scenarios.load(name))
    pairs = {text: pair for text, pair in CHANGES.items() if set(pair) <= set(finals)}
    pairs |= {
        f"`{label.removesuffix(COSINE)}`": (label, label.removesuffix(COSINE))
        for label in finals
        if label.endswith(COSINE)
    }
    return [f"{text}: {paired(finals[one], finals[other])}" for text, (one, other) in pairs.items()]


def against_the_better(name: str, after: int = 0) -> str:
    """The front over vectors and steps minus the better of the baselines, on a scenario, with seeds above
    `after`.
    """
    scenario = scenarios.load(name)
    finals = of_methods(scenario)
    rival = max(scenario.baselines, key=lambda label: finals[label].mean())
    own = finals["distreal-steps"]
    return f"{paired(own[own.index > after], finals[rival])} on `{name}`"


def gap() -> list[str]:
    """Where the gap of a front begins, what it costs, and the share of the MACs that is used with it."""
    scenario = scenarios.load(GAP)
    finals = of_methods(scenario)
    last = pd.read_csv(evaluations(GAP)).sort_values("round").groupby(["method", "seed"]).tail(1)
    used = (last["macs"] / last["macs_available"]).groupby(last["method"]).mean()
    shares = {method: f"{100 * share:.0f} %" for method, share in used.items()}
    bounds = read_front(scenarios.folder_of(GAP) / "front.json").wide_gap
    assert bounds is not None
    filled, own, vectors = (finals[name] for name in ("distreal-steps-filled", "distreal-steps", "distreal"))
    return [
        f"than one of {100 * bounds[0]:.0f} % of the MACs",
        f"use {shares['distreal-steps']} of the MACs on offer, those with the front over vectors "
        f"{shares['distreal']}",
        f"{paired(filled, own)} over it",
        f"{paired(filled, vectors)} against `distreal`",
    ]


def placed() -> list[str]:
    """Names of the scenarios that have results."""
    return [name for name in scenarios.names() if evaluations(name).exists()]


def rows(scenario: Scenario) -> list[str]:
    """Of a scenario, best first: accuracy, differences to the baselines, seconds, what was tuned."""
    finals, costs, rates = of_methods(scenario), spent(scenario), tuned(scenario)
    rivals = [rival for rival in scenario.baselines if rival in finals]
    found = []
    for method in ranked(finals):
        own = finals[method]
        minus = ["" if method == rival else paired(own, finals[rival]) for rival in rivals]
        cells = [method, plus_minus(*t_interval(own)), *minus, *costs[method], rates[method]]
        found.append(f"| {' | '.join(cells)} |")
    return found


def readme() -> list[str]:
    """Parts of the README's sentences on the digits; what is said to be level or behind is asserted."""
    scenario = scenarios.load(README)
    finals, seconds = of_methods(scenario), {method: costs[-1] for method, costs in spent(scenario).items()}
    rival, vectors = scenario.baselines
    minus = {name: paired(own, finals[rival]) for name, own in finals.items() if name != rival}
    for name in ("small", "distreal-ordered", "distreal-steps"):
        low, high = bounds(finals[name] - finals[rival])
        assert low <= 0 <= high
    for name in (vectors, "heterofl", "fedavg-drop"):
        assert bounds(finals[name] - finals[rival])[1] < 0
    end, target = plus_minus(*t_interval(finals[rival])), scenario.targets[-1]
    return [
        f"(`{rival}`) ends with {end} and reaches {target} after {seconds[rival]} simulated seconds",
        f"finished steps ({minus['small']}; {seconds['small']} s)",
        f"ordered filters ({minus['distreal-ordered']}; {seconds['distreal-ordered']} s)",
        f"vectors and steps ({minus['distreal-steps']}; {seconds['distreal-steps']} s)",
        f"vectors alone ({minus[vectors]}; {seconds[vectors]} s)",
        f"HeteroFL ({minus['heterofl']}; {seconds['heterofl']} s)",
        f"drops late updates ({minus['fedavg-drop']}; {seconds['fedavg-drop']} s)",
    ]


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


def spent(scenario: Scenario) -> dict[str, list[str]]:
    """By method the median simulated seconds to each target, and kilojoules to the last one where joules are
    counted; `-` where half of the seeds do not get there.
    """
    table = points(evaluations(scenario.name))
    wanted = [(target, "sim_s", 1) for target in scenario.targets]
    if "energy_j" in table:
        wanted.append((scenario.targets[-1], "energy_j", 1000))
    found: dict[str, list[str]] = {}
    for target, key, unit in wanted:
        for row in cost(table, target, HOLD).to_dict("records"):
            text = "-" if row[key] == float("inf") else f"{row[key] / unit:.{0 if unit == 1 else 1}f}"
            found.setdefault(row["method"], []).append(text)
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


if __name__ == "__main__":
    main()
