"""Levels of training of a client: one network, sub-models fixed for a round, or another one in every step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from distreal_sim.client.client import Client
from distreal_sim.client.schedule import Moment
from distreal_sim.client.task import Task
from distreal_sim.client.traffic import Traffic
from distreal_sim.thinning.cost import sizes
from distreal_sim.thinning.structure import Counts


@dataclass(frozen=True)
class Level:
    """One size of sub-model.

    counts: (G,) kept channels; macs_per_example: of a training step; traffic: its transfers; trained:
    names of the parameters that it trains and that come back, None for all; charged_macs: MACs of capacity
    that a step is charged per example, None for macs_per_example (`charged`); share: of the planned examples
    that the level is for (`Entry.share`), which a level that is chosen before every step may have; rank: how
    much such a level is preferred to others that fit (`Front.ranks`); of equal ones the later one is.
    """

    counts: Counts
    macs_per_example: int
    traffic: Traffic
    trained: tuple[str, ...] | None = None
    charged_macs: int | None = None
    share: float = 1.0
    rank: int = 0

    @property
    def charge(self) -> int:
        """MACs of capacity that a step takes per example."""
        return self.macs_per_example if self.charged_macs is None else self.charged_macs

    @property
    def planned_charge(self) -> float:
        """MACs of capacity per planned example, by which it is chosen before a step."""
        return self.share * self.charge


@dataclass(frozen=True)
class Always:
    """Every step of every client is on one level."""

    level: Level

    @property
    def levels(self) -> tuple[Level, ...]:
        return (self.level,)

    def at_start(self, client: Client) -> Level | None:
        """The level of the client's round; None if it takes no part."""
        return self.level

    def now(self, moment: Moment, start: Level) -> Level:
        """The level of a step, in a round that began with `start`."""
        return self.level


@dataclass(frozen=True)
class PerRound:
    """The level of most MACs that fits at the start of the round, for all its steps (`largest_that_fits`).

    A client that none fits skips the round.
    """

    levels: tuple[Level, ...]

    def at_start(self, client: Client) -> Level | None:
        """The level of the client's round; None if it takes no part."""
        index = largest_that_fits(client, self.levels)
        return None if index is None else self.levels[index]

    def now(self, moment: Moment, start: Level) -> Level:
        """The level of a step, in a round that began with `start`."""
        return start


@dataclass(frozen=True)
class PerStep:
    """Before every step the preferred level of those that the budget allows, or else the cheapest.

    The budget is what the capacity of the moment gives until the end. A level for all planned examples takes
    its charge for those that are left; one for a share of them takes its charge for the whole share, less
    what the steps so far were charged, so that at constant capacity a client keeps to it. levels: with one
    traffic; of those of equal rank a later one is preferred.
    """

    levels: tuple[Level, ...]

    @cached_property
    def worth_choosing(self) -> tuple[Level, ...]:
        """The levels that no preferred one of no higher charge replaces, cheapest first.

        One for a share of the examples does not replace one for all of them, nor the other way round.
        """
        worth: list[Level] = []
        for level in self._preferred_first(self.levels):
            alike = (other for other in worth if (other.share == 1) == (level.share == 1))
            if not any(other.planned_charge <= level.planned_charge for other in alike):
                worth.append(level)
        return tuple(sorted(worth, key=lambda level: level.planned_charge))

    @staticmethod
    def _preferred_first(levels: Sequence[Level]) -> list[Level]:
        return sorted(levels, key=lambda level: level.rank)[::-1]

    def at_start(self, client: Client) -> Level | None:
        """One of the levels, for its traffic."""
        return self.worth_choosing[0]

    def now(self, moment: Moment, start: Level) -> Level:
        """The level of a step, in a round that began with `start`."""
        n_left = moment.n_left
        budget_macs = moment.budget_macs / n_left
        if not self._with_shares:
            return self.worth_choosing[max(0, bisect_right(self._planned_charges, budget_macs) - 1)]
        budget_in_all = moment.budget_macs + moment.charged_macs
        n_planned = moment.n_done + n_left
        for planned_charge, is_share, level in self._with_shares:
            if planned_charge * n_planned <= budget_in_all if is_share else planned_charge <= budget_macs:
                return level
        return self.worth_choosing[0]

    @cached_property
    def _planned_charges(self) -> list[float]:
        return [level.planned_charge for level in self.worth_choosing]

    @cached_property
    def _with_shares(self) -> list[tuple[float, bool, Level]]:
        """Planned charge, whether for a share, and level, the preferred one first; empty without shares."""
        if all(level.share == 1 for level in self.worth_choosing):
            return []
        preferred_first = self._preferred_first(self.worth_choosing)
        return [(level.planned_charge, level.share < 1, level) for level in preferred_first]


Levels = Always | PerRound | PerStep
"""The levels that a method lets its clients train. Training and the simulated clock follow from it."""


def whole_network(task: Task) -> Always:
    """Everybody trains everything, and the whole model travels both ways."""
    return Always(Level(task.full, task.macs_per_example(task.full), task.traffic(task.model_sizes)))


def width_level(task: Task, counts: Counts) -> Level:
    """The sub-network of these channels, which travels both ways; the server knows which ones they are."""
    travels = sizes(task.structure, counts, task.structure.parameters)
    return Level(counts, task.macs_per_example(counts), task.traffic(travels))


def largest_that_fits(client: Client, levels: Sequence[Level]) -> int | None:
    """Index of the level of most MACs whose planned work ends in time if the capacity of the start holds.

    The work is that of the client's real batches. Of levels of equal MACs the first; None if none fits.
    """
    n_examples = sum(client.batch_sizes)
    fitting = [
        (level.macs_per_example, -index)
        for index, level in enumerate(levels)
        if client.fits(level.charge * n_examples, level.traffic)
    ]
    return -max(fitting)[1] if fitting else None


def charged(task: Task, levels: Levels) -> Levels:
    """The levels with what the clock charges them where time is measured; as they are where it is not.

    Raises InputError for a level that was not measured.
    """
    if task.charges is None:
        return levels
    known = task.memo.get("charged")
    if known is None or known[0] is not levels:
        own = tuple(charged_level(task, level) for level in levels.levels)
        known = task.memo["charged"] = (levels, _among(levels, own))
    found: Levels = known[1]
    return found


def within_memory(client: Client, levels: Levels) -> Levels | None:
    """The levels of which a step fits into the client's memory; None where there is none."""
    if not client.task.devices.memory.limits:
        return levels
    fitting = tuple(level for level in levels.levels if client.has_memory_for(level.counts))
    if levels.levels and not fitting:
        return None
    return levels if len(fitting) == len(levels.levels) else _among(levels, fitting)


def _among(levels: Levels, others: tuple[Level, ...]) -> Levels:
    """The same kind of choice among other levels."""
    if isinstance(levels, Always):
        return Always(others[0])
    return PerRound(others) if isinstance(levels, PerRound) else PerStep(others)


def charged_level(task: Task, level: Level) -> Level:
    """See `charged`."""
    if task.charges is None:
        return level
    own = task.charges.of(level.counts, level.trained, level.macs_per_example)
    return replace(level, charged_macs=own)
