"""Tables of costs that a test writes down, in place of measured ones."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from distreal_sim.config import Experiment
from distreal_sim.config.build import build, configured_network
from distreal_sim.config.charges import described_levels, setting_of
from distreal_sim.fronts.front import fingerprint
from distreal_sim.submodels.levels import Level
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.measured.file import MAX_DECIMALS
from distreal_sim.thinning.measured.table import CostTable, LevelKey, TimedLevel, trained_digest

ShareOf = Callable[[Level, int], Decimal]
"""share(level, full_macs): its time share; full_macs: per example of the configured network."""

METHODS: list[dict[str, Any]] = [
    {"name": "fedavg"},
    {"name": "small", "width": 0.3},
    {"name": "fedprox"},
    {"name": "fednova"},
    {"name": "heterofl"},
    {"name": "heterofl", "assignment": "dynamic"},
    {"name": "fedrolex"},
    {"name": "federated_dropout"},
    {"name": "fjord"},
    {"name": "depthfl"},
    {"name": "inclusivefl"},
    {"name": "cocofl"},
    {"name": "slt"},
    {"name": "distreal"},
    {"name": "distreal", "filters": "ordered"},
]
"""All whose steps are described by levels."""

KINDS = ("small", "fjord", "depthfl", "distreal")
"""Of them: one network, levels for a round, depths, levels for a step."""


def macs_shares(level: Level, full_macs: int) -> Decimal:
    """The share of the MACs, rounded down to as many digits as a file may have."""
    exact = Fraction(level.macs_per_example, full_macs)
    value = Decimal(exact.numerator) / Decimal(exact.denominator)
    return value.quantize(Decimal(1).scaleb(-MAX_DECIMALS), ROUND_FLOOR)


def table_of(experiment: Experiment, share_of: ShareOf) -> CostTable:
    """A table of all levels of the experiment's method."""
    experiment = experiment.by_macs()
    task, method = build(experiment), experiment.method
    module, structure = configured_network(experiment, task.data)
    full_macs = training_macs(structure, structure.full_counts())
    levels = []
    for level in described_levels(method, task):
        key = LevelKey(
            fingerprint(module),
            fingerprint(task.module),
            level.counts,
            method.redraws and level.counts != task.full,
            trained_digest(level.trained),
            setting_of(experiment.local),
        )
        share = share_of(level, full_macs)
        macs = level.macs_per_example
        levels.append(TimedLevel(key, macs, macs / full_macs, share, float(share), float(share), 0.001))
    return CostTable(tuple({level.key: level for level in levels}.values()), {"processor": "by hand"})


def file_of(path: Path, experiment: Experiment, share_of: ShareOf) -> Path:
    """Such a table in a file."""
    table_of(experiment, share_of).save(path)
    return path
