"""Whether runs that are compared had the same fleet: units of capacity that grow with the network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from distreal_sim.base.text import si
from distreal_sim.results.runs import Run

RELATIVE = ("relative", "relative_own")
"""Units of a profile in which level 1 is the capacity that the configured network and work need."""

SAME = 1e-9
"""Relative difference of two capacities that is taken for rounding."""


@dataclass(frozen=True)
class Level1:
    """label, seed: of a run; unit: of its profile; macs_per_s: level 1 of its median client."""

    label: str
    seed: int
    unit: str
    macs_per_s: float


def level_1_of(run: Run) -> Level1 | None:
    """What capacity level 1 was in a run; None if its files do not say."""
    try:
        macs_per_s = float(json.loads((run.path / "run.json").read_text())["level_1_macs_per_s"])
        return Level1(run.label, run.seed, str(run.config["profile"]["unit"]), macs_per_s)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def different_fleets(runs: Iterable[Level1]) -> list[str]:
    """A warning where runs of one seed have levels relative to different capacities; otherwise nothing.

    It names the two that differ most.
    """
    seeds: dict[int, list[Level1]] = {}
    for run in runs:
        if run.unit in RELATIVE:
            seeds.setdefault(run.seed, []).append(run)
    pairs = [(min(own, key=_macs_per_s), max(own, key=_macs_per_s)) for own in seeds.values()]
    if not pairs:
        return []
    low, high = max(pairs, key=lambda pair: pair[1].macs_per_s / pair[0].macs_per_s)
    if high.macs_per_s <= low.macs_per_s * (1 + SAME):
        return []
    return [
        f"warning: with profile.unit={low.unit} the fleets differ: level 1 is {si(low.macs_per_s, 'MAC/s')} "
        f"in '{low.label}' and {si(high.macs_per_s, 'MAC/s')} in '{high.label}'; to compare them on one "
        f"fleet, set the same MAC/s for all, for example {fixed_by(low.macs_per_s)}"
    ]


def fixed_by(macs_per_s: float) -> str:
    """The keys of a config that keep level 1, whatever the network and the work."""
    return f"profile.unit=macs_per_s profile.level_1_macs_per_s={repr(macs_per_s).removesuffix('.0')}"


def _macs_per_s(run: Level1) -> float:
    return run.macs_per_s
