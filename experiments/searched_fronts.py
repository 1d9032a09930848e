"""Numbers of the fronts in lab/search.md, from their files: bundled ones, and those over vectors and steps.

python experiments/searched_fronts.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distreal_sim.fronts import bundled

ORDER = (
    "small_cnn-digits",
    "small_cnn-mnist",
    "femnist_cnn-mnist",
    "cnn_cifar-cifar10",
    "resnet20-cifar10",
    "densenet40_bc-cifar10",
)

SCENARIOS = Path(__file__).parent / "benchmark" / "scenarios"
OVER_STEPS = {
    f"`{scenario}`, {score}": SCENARIOS / scenario / file
    for score, file in (("federated", "front.json"), ("central", "central.json"))
    for scenario in ("digits", "c16", "phones", "mnist_writers", "mnist_dirichlet")
    if score == "federated" or scenario != "mnist_dirichlet"
} | {"`c16`, central, ordered": SCENARIOS / "c16" / "ordered.json"}
"""Fronts over vectors and steps, by scenario of the benchmark and score. That of `mnist_dirichlet` by the
central one is that of `mnist_writers`.
"""
ALONE = {"`c16`, central, vectors alone": SCENARIOS / "c16" / "vectors.json"}
"""Of the benchmark, over vectors, from late snapshots too."""


def texts() -> list[str]:
    """Rows of the tables, one a front: gain over uniform rates on fresh seeds, and where thinning pays."""
    assert set(ORDER) == set(bundled.names())
    bundles = [row(f"`{name}`", bundled.path_of(name)) for name in ORDER]
    return [*bundles, *(steps_row(name, path) for name, path in (OVER_STEPS | ALONE).items())]


def row(name: str, path: Path) -> str:
    """A bundled front's row."""
    made = json.loads(path.read_text())["made"]
    fresh = made["reevaluation"]
    cells = [
        *searched(name, path),
        f"{fresh['found']:.3f}",
        f"{fresh['uniform']:.3f}",
        percent(fresh, "gain"),
        percent(fresh, "gain_over_better") if "gain_over_better" in fresh else "not measured",
        pays(fresh),
    ]
    return f"| {' | '.join(cells)} |"


def steps_row(name: str, path: Path) -> str:
    """The row of a front of the benchmark."""
    fresh = json.loads(path.read_text())["made"]["reevaluation"]
    return f"| {' | '.join([*searched(name, path), pays(fresh)])} |"


def searched(name: str, path: Path) -> list[str]:
    """How a front was searched: name, entries, snapshots, steps, vectors that were tried."""
    content = json.loads(path.read_text())
    made = content["made"]
    tried, steps = made["evaluations"], made["search"]["steps"]
    return [name, str(len(content["entries"])), snapshots(made), str(steps), str(tried)]


def snapshots(made: dict[str, Any]) -> str:
    """Of the search, and in brackets of the measurement where it was made later."""
    searched, measured = (
        " ".join(map(str, told["search"]["snapshots"])) for told in (made, made.get("measured", made))
    )
    return searched if measured == searched else f"{searched} ({measured})"


def percent(fresh: dict[str, Any], key: str) -> str:
    """A gain with its 95 % interval."""
    low, high = fresh[f"{key}_interval"]
    return f"{100 * fresh[key]:+.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def pays(fresh: dict[str, Any]) -> str:
    """The share of the MACs where the front lies above fewer full steps."""
    if "thinning" not in fresh:
        return "not measured"
    ranges = fresh["thinning"]["pays"]
    return ", ".join(f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in ranges) or "never"


if __name__ == "__main__":
    print("\n".join(texts()))
