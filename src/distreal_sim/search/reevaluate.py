"""A found front against uniform rates and fewer full steps, on seeds that the search has not seen.

The best of many noisy scores is too good (the winner's curse), so the front, uniform rates with as many
entries, and fewer steps of the full network are scored again, all with the same fresh seeds. A front over
vectors and steps keeps those thinned entries that are sure by them; what is said of it then is of the same
seeds, and somewhat too good again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.search.explore import Evaluate
from distreal_sim.search.pareto import Point, hypervolume
from distreal_sim.search.score import Score
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.worth import Worth, fewer_steps, stretched, worth_of
from distreal_sim.thinning.structure import Counts

RESAMPLES = 1000
"""Bootstrap samples."""

FINE = 100
"""Where clients take full steps, hypervolumes have a point at every 1 / FINE of the steps."""

Interval = tuple[float, float]

Scores = Mapping[Pair, Score]


@dataclass(frozen=True)
class Comparison:
    """Hypervolumes on fresh seeds with 95 % bootstrap intervals, for few repeats as wide as t intervals.

    found: where an entry is the full network, as many of its steps as a budget allows count too;
    fewer_steps: of fewer steps of the full network, at the same costs; better: of whichever of uniform
    rates and those is better at a cost. gain: found / uniform - 1; gain_over_better: found / better - 1.
    The intervals are over the seeds of the short trainings, resampled jointly for all entries; another
    search with another seed is not in them.
    """

    n_found: int
    n_uniform: int
    found: float
    found_interval: Interval
    uniform: float
    uniform_interval: Interval
    fewer_steps: float
    fewer_steps_interval: Interval
    better: float
    better_interval: Interval
    gain: float
    gain_interval: Interval
    gain_over_better: float
    gain_over_better_interval: Interval


@dataclass(frozen=True)
class Reevaluation:
    """Fresh scores: found, uniform: of the entries of either front; fewer_steps: of the full network.

    thinning: the front against fewer full steps; by_snapshot: the same from each snapshot alone, in their
    order. None where the full network makes no progress. sure: entries whose score is above that of as many
    full steps as cost the same, by the 95 % bootstrap interval of the difference.
    """

    found: Scores
    uniform: Scores
    fewer_steps: Scores
    comparison: Comparison
    thinning: Worth | None
    by_snapshot: tuple[Worth | None, ...]
    sure: frozenset[Pair]


def reevaluate(
    space: Space,
    found: Sequence[Pair],
    evaluate: Evaluate,
    rng: np.random.Generator,
    fastest: Sequence[Pair] | None = None,
    n_uniform: int | None = None,
    uniform: Sequence[Counts] | None = None,
) -> Reevaluation:
    """Scores `found`, cheapest first, the zero vector for all steps last, and as many uniform vectors.

    fastest: those of found that clients with enough memory use, which are compared with fewer full steps;
    all if not given. n_uniform: another number of uniform vectors. uniform: those to compare with, the zero
    vector among them.
    """
    vectors = uniform or space.uniform(n_uniform or len(found))
    rates = [Pair(counts) for counts in vectors]
    asked = list(dict.fromkeys(pair.counts for pair in [*found, *rates]))
    whole = dict(zip(asked, evaluate(asked), strict=True))
    scores = {Pair(c, share): s for c in asked for share, s in whole[c].by_share.items()}
    full = space.structure.full_counts()
    steps = [pair for pair in scores if pair.counts == full]
    scores |= {pair: whole[pair.counts].after(pair.share) for pair in found}
    rivals = _Rivals(space, list(found), rates, steps, list(fastest or found))
    by_snapshot = _resampled({pair: scores[pair] for pair in rivals.all}, rng)
    n_snapshots, n_repeats = by_snapshot.shape[1], len(scores[rivals.all[0]].drops[0])
    means = stretched(by_snapshot.mean(axis=1), n_repeats, n_snapshots)
    return Reevaluation(
        {pair: scores[pair] for pair in found},
        {pair: scores[pair] for pair in rates},
        {pair: scores[pair] for pair in steps},
        rivals.compare(means),
        rivals.worth(means),
        tuple(rivals.worth(stretched(by_snapshot[:, i], n_repeats)) for i in range(n_snapshots)),
        rivals.sure(means),
    )


def _resampled(scores: Scores, rng: np.random.Generator) -> np.ndarray:
    """(1 + RESAMPLES, snapshots, pairs) mean drops: as measured, and of the same resampled repeats."""
    drops = np.array([score.drops for score in scores.values()])
    _, n_snapshots, n_repeats = drops.shape
    chosen = rng.integers(n_repeats, size=(RESAMPLES, n_snapshots, n_repeats))
    once = np.tile(np.arange(n_repeats), (1, n_snapshots, 1))
    rows = [np.take_along_axis(drops, c[None], axis=2).mean(axis=2).T for c in [*once, *chosen]]
    return np.array(rows)


class _Rivals:
    """What is compared, and where its scores stand in a row of scores."""

    def __init__(
        self, space: Space, found: list[Pair], uniform: list[Pair], steps: list[Pair], fastest: list[Pair]
    ) -> None:
        self._space, self._fastest = space, fastest
        self.all = list(dict.fromkeys([*found, *uniform, *steps]))
        self._costs = {pair: space.cost(pair) for pair in self.all}
        self._found, self._uniform, self._steps = found, uniform, steps
        shares = np.arange(1, FINE) / FINE
        self._taken = [share for share in shares.tolist() if self._takes_full_steps(share)]
        self._zero = self.all.index(Pair(space.structure.full_counts()))

    def _takes_full_steps(self, cost: float) -> bool:
        """Whether the entry of this cost, or the one before it, is the full network.

        A client with a budget in between takes as many of its steps as it can.
        """
        before = [pair for pair in self._found if self._costs[pair] <= cost]
        return bool(before) and before[-1].counts == self._found[-1].counts

    def compare(self, rows: np.ndarray) -> Comparison:
        """rows: (1 + R, pairs) scores, the measured ones first."""
        volumes = np.array([self._volumes(row) for row in rows])
        found, uniform, steps, better = volumes.T
        gain, over_better = found / uniform - 1, found / better - 1
        return Comparison(
            n_found=len(self._found),
            n_uniform=len(self._uniform),
            found=float(found[0]),
            found_interval=_interval(found),
            uniform=float(uniform[0]),
            uniform_interval=_interval(uniform),
            fewer_steps=float(steps[0]),
            fewer_steps_interval=_interval(steps),
            better=float(better[0]),
            better_interval=_interval(better),
            gain=float(gain[0]),
            gain_interval=_interval(gain),
            gain_over_better=float(over_better[0]),
            gain_over_better_interval=_interval(over_better),
        )

    def worth(self, rows: np.ndarray) -> Worth | None:
        """The front against fewer full steps; rows as those of `compare`."""
        found, steps = (
            (
                [self._costs[pair] for pair in pairs],
                rows[:, [self.all.index(pair) for pair in pairs]],
            )
            for pairs in (self._fastest, self._steps)
        )
        full = self._space.structure.full_counts()
        return worth_of(*found, *steps, [pair.counts == full for pair in self._fastest])

    def sure(self, rows: np.ndarray) -> frozenset[Pair]:
        """The entries that are above fewer full steps of the same cost; rows as those of `compare`."""
        costs = np.array([self._costs[pair] for pair in self._found])
        shares = [pair.share for pair in self._steps]
        found, steps = (
            rows[:, [self.all.index(pair) for pair in pairs]] for pairs in (self._found, self._steps)
        )
        gains = np.array(
            [own - fewer_steps(shares, full, costs) for own, full in zip(found, steps, strict=True)]
        )
        low = np.minimum(np.percentile(gains[1:], 2.5, axis=0), gains[0])
        return frozenset(pair for pair, bound in zip(self._found, low, strict=True) if bound > 0)

    def _volumes(self, row: np.ndarray) -> list[float]:
        """Hypervolumes of the front, uniform rates, fewer full steps, and the better of these two."""
        zero = float(row[self._zero])
        if zero <= 0:
            return [np.nan] * 4
        means = dict(zip(self.all, row.tolist(), strict=True))

        def points(pairs: Sequence[Pair]) -> list[Point]:
            return [self._space.point(pair, means[pair]) for pair in pairs]

        memory = self._space.relative_memory(self._space.structure.full_counts())

        def full_steps(costs: Sequence[float]) -> list[Point]:
            shares, scores = [pair.share for pair in self._steps], [means[pair] for pair in self._steps]
            heights = fewer_steps(shares, scores, np.array(costs)).tolist()
            return [(cost, *memory, height) for cost, height in zip(costs, heights, strict=True)]

        found, uniform = points(self._found), points(self._uniform)
        steps = full_steps(sorted({*(cost for cost, *_ in found), *self._taken}))
        found += full_steps(self._taken)
        return [hypervolume(front, zero) for front in (found, uniform, steps, [*uniform, *steps])]


def _interval(values: np.ndarray) -> Interval:
    """Of the resampled values, all but the first; NaN where none is known."""
    if np.isnan(values[1:]).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return float(low), float(high)
