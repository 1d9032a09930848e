"""The table of measured time shares, and what the simulated clock charges by it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from distreal_sim.base.errors import InputError
from distreal_sim.base.files import write_atomically
from distreal_sim.thinning.structure import Counts, MemoryFormat, Precision

FORMAT = 1
"""Of the files."""


class Setting(NamedTuple):
    """How steps are computed: whatever of a client's planned work the time of a step depends on.

    optimizer: its name and those of its states, which are gathered and written back like the weights, and
    whether gradients are clipped.
    """

    batch_size: int
    optimizer: str
    memory_format: MemoryFormat
    precision: Precision

    def __str__(self) -> str:
        return f"batches of {self.batch_size}, {self.optimizer}, {self.memory_format}, {self.precision}"


class LevelKey(NamedTuple):
    """Which steps were timed.

    model: fingerprint of the configured network, whose full step is the unit; network: that of the network
    that the steps train, which a method may have narrowed or given exits; kept: (G,) its kept channels;
    redrawn: whether each step keeps other ones than the step before; trained: digest of the names of the
    trained parameters (`trained_digest`), None for all.
    """

    model: str
    network: str
    kept: Counts
    redrawn: bool
    trained: str | None
    setting: Setting


@dataclass(frozen=True)
class TimedLevel:
    """The measured time of the steps of one level.

    macs_per_example: what they compute; macs_share, time_share: their MACs and their time divided by those of
    the full step of the configured network, the time's the median over repeats; low, high: quartiles over the
    repeats; step_wall_s: seconds.
    """

    key: LevelKey
    macs_per_example: int
    macs_share: float
    time_share: Decimal
    low: float
    high: float
    step_wall_s: float

    def plain(self) -> dict[str, Any]:
        """As in the file."""
        model, network, kept, redrawn, trained, setting = self.key
        return {
            "model": model,
            "network": network,
            "kept": list(kept),
            "redrawn": redrawn,
            "trained": trained,
            **setting._asdict(),
            "macs_per_example": self.macs_per_example,
            "macs_share": self.macs_share,
            "time_share": float(self.time_share),
            "low": self.low,
            "high": self.high,
            "step_wall_s": self.step_wall_s,
        }


@dataclass(frozen=True)
class Charges:
    """What the clock charges the steps of a run's levels, in MACs of capacity per example.

    full_macs: training MACs per example of the configured network; timed: the levels of the run's network
    and setting, by kept channels and trained parameters; missing: what an error says of other levels;
    full_s: seconds of the full step per example, where a calibrated device tells them.
    """

    full_macs: int
    timed: Mapping[tuple[Counts, str | None], TimedLevel]
    missing: str
    full_s: float | None = None

    @property
    def macs_per_s(self) -> float | None:
        """Capacity with which simulated seconds are those of the calibrated device."""
        return None if self.full_s is None else self.full_macs / self.full_s

    def of(self, counts: Counts, trained: Collection[str] | None, macs_per_example: int) -> int:
        """ceil(time share x full_macs), in exact arithmetic.

        Raises InputError for a level that was not timed, or timed with other MACs.
        """
        level = self.level(counts, trained)
        if level.macs_per_example != macs_per_example:
            raise InputError(
                f"{self.missing}; the level that keeps {_short(counts)} has {macs_per_example:,} MACs per "
                f"example here, and {level.macs_per_example:,} there: it was measured with inputs of another "
                "size"
            )
        return math.ceil(Fraction(level.time_share) * self.full_macs)

    def level(self, counts: Counts, trained: Collection[str] | None) -> TimedLevel:
        """The measurement of a level. Raises InputError where there is none."""
        found = self.timed.get((counts, trained_digest(trained)))
        if found is None:
            part = "" if trained is None else f" and trains {len(trained)} parameters"
            raise InputError(f"{self.missing}; there is no level that keeps {_short(counts)}{part}")
        return found


@dataclass(frozen=True)
class CostTable:
    """Measured levels. made: where and when: machine, versions, date, repeats, names of the models."""

    levels: tuple[TimedLevel, ...]
    made: Mapping[str, Any]

    @cached_property
    def by_key(self) -> dict[LevelKey, TimedLevel]:
        """The levels by what was timed."""
        return {level.key: level for level in self.levels}

    @property
    def content(self) -> str:
        """16 hex digits that identify what the table charges."""
        shares = [json.dumps([*level.key, str(Fraction(level.time_share))]) for level in self.levels]
        return hashlib.sha256(json.dumps(sorted(shares)).encode()).hexdigest()[:16]

    def charges(
        self,
        model: str,
        network: str,
        full: Counts,
        redraws: bool,
        setting: Setting,
        full_macs: int,
        remedy: str,
    ) -> Charges:
        """What a run is charged.

        model, network: as in LevelKey; full: (G,) channels of the network; redraws: whether the steps that do
        not keep all keep others each time; full_macs: see Charges; remedy: what a user can do about a lack.
        Raises InputError where nothing was measured for such a run.
        """
        if all(level.key.model != model for level in self.levels):
            known = ", ".join(sorted({level.key.model for level in self.levels}))
            raise InputError(
                f"cost: measured for other networks: their fingerprints are {known}, that of this run's "
                f"model is {model}; {remedy}"
            )
        settings = {level.key.setting for level in self.levels if level.key.model == model}
        if setting not in settings:
            known = "; ".join(map(str, sorted(settings)))
            raise InputError(f"cost: measured for {known}, but this run has {setting}; {remedy}")
        timed = {
            (level.key.kept, level.key.trained): level
            for level in self.levels
            if level.key[:2] == (model, network)
            and level.key.redrawn == (redraws and level.key.kept != full)
            and level.key.setting == setting
        }
        return Charges(full_macs, timed, f"cost: not measured for all levels of the method; {remedy}")

    def joined(self, other: CostTable) -> CostTable:
        """The levels of both, those of this table first; of one that is in both, this table's."""
        more = [level for level in other.levels if level.key not in self.by_key]
        if not more:
            return self
        extensions = [*self.made.get("extended_by", []), dict(other.made)]
        return CostTable((*self.levels, *more), {**self.made, "extended_by": extensions})

    def plain(self) -> dict[str, Any]:
        """As in the file."""
        return {
            "format": FORMAT,
            "made": dict(self.made),
            "levels": [level.plain() for level in self.levels],
        }

    def save(self, path: Path) -> None:
        """Writes the table as JSON."""
        write_atomically(path, json.dumps(self.plain(), indent=1).encode())


def trained_digest(trained: Collection[str] | None) -> str | None:
    """16 hex digits that identify the names of the trained parameters; None for all of them."""
    if trained is None:
        return None
    return hashlib.sha256(json.dumps(sorted(trained)).encode()).hexdigest()[:16]


def _short(counts: Sequence[int], most: int = 6) -> str:
    """The first kept channels."""
    rest = ", ..." if len(counts) > most else ""
    return f"({', '.join(map(str, counts[:most]))}{rest}) channels"
