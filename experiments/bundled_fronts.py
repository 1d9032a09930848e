"""Numbers of the bundled fronts in lab/search.md, from the files of the fronts.

python experiments/bundled_fronts.py
"""

from __future__ import annotations

import json
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


def texts() -> list[str]:
    """Rows of the table, one a front: gain over uniform rates on fresh seeds, and where thinning pays."""
    assert set(ORDER) == set(bundled.names())
    return [row(name) for name in ORDER]


def row(name: str) -> str:
    """A front's row."""
    content = json.loads(bundled.path_of(name).read_text())
    made = content["made"]
    fresh = made["reevaluation"]
    cells = [
        f"`{name}`",
        str(len(content["entries"])),
        " ".join(map(str, made["search"]["snapshots"])),
        str(made["search"]["steps"]),
        str(made["evaluations"]),
        f"{fresh['found']:.3f}",
        f"{fresh['uniform']:.3f}",
        percent(fresh, "gain"),
        percent(fresh, "gain_over_better") if "gain_over_better" in fresh else "not measured",
        pays(fresh),
    ]
    return "| " + " | ".join(cells) + " |"


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
