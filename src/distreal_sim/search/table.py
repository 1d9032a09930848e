"""The front of the vectors that were tried, and the table of at most so many entries that is written.

A client that takes fewer steps of the full network may take any number of them, not just a measured one.
So in a front over vectors and steps a thinned entry must be worth more than fewer full steps at its own cost,
and the full network is an entry again from the budget on at which as many of its steps as that allows are
worth more than the thinned entry before. A client with time left goes on with its vector, so a thinned entry
after which further steps do harm is none either.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise

import numpy as np

from distreal_sim.search.pareto import best_subset, non_dominated
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Over
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.worth import GRID, fewer_steps
from distreal_sim.thinning.structure import Counts


def front_of(space: Space, scores: Mapping[Counts, Score], over: Over) -> dict[Pair, Score]:
    """The best pairs and their scores, cheapest first, the zero vector for all steps the last in any case.

    scores: of the vectors tried, the zero vector among them; over: for all steps, or for fewer too.
    """
    pairs = _pairs(scores, over)
    return _with_overtaking(space, scores, over, {pair: pairs[pair] for pair in _best(space, pairs, over)})


def table_of(space: Space, scores: Mapping[Counts, Score], over: Over, n: int) -> dict[Pair, Score]:
    """At most n measured pairs of the front, of largest hypervolume; the cheapest and the zero vector too.

    Where the full network overtakes a thinned pair before the next one begins, it is one more.
    """
    pairs = _pairs(scores, over)
    best = _best(space, pairs, over)
    chosen = best_subset([space.point(pair, pairs[pair].mean) for pair in best], n)
    return _with_overtaking(space, scores, over, {best[i]: pairs[best[i]] for i in chosen})


def confirmed(
    space: Space, scores: Mapping[Counts, Score], table: Mapping[Pair, Score], sure: Container[Pair]
) -> dict[Pair, Score]:
    """A table over vectors and steps without those of its thinned pairs that are not among the sure ones.

    Their place is left to the full network.

    sure: pairs that are worth more than fewer full steps; the full network needs not be among them.
    """
    full = space.structure.full_counts()
    measured = scores[full].by_share
    kept = {
        pair: score
        for pair, score in table.items()
        if (pair.share in measured if pair.counts == full else pair in sure)
    }
    return _with_overtaking(space, scores, "vectors_and_steps", kept)


def fastest_of(space: Space, front: Mapping[Pair, Score]) -> list[Pair]:
    """The entries that clients with enough memory choose among: of a higher score than all cheaper ones.

    front: cheapest first; its last entry, the zero vector, is always among them.
    """
    *others, zero = front
    best: list[Pair] = []
    for pair in sorted(others, key=lambda pair: (space.cost(pair), -front[pair].mean)):
        if not best or front[pair].mean > front[best[-1]].mean:
            best.append(pair)
    return [*best, zero]


def _pairs(scores: Mapping[Counts, Score], over: Over) -> dict[Pair, Score]:
    """What may be an entry: every vector for all steps; with `vectors_and_steps` for fewer steps too."""
    return {
        Pair(counts, share): score
        for counts, whole in scores.items()
        for share, score in whole.by_share.items()
        if share == 1 or over == "vectors_and_steps"
    }


def _best(space: Space, pairs: Mapping[Pair, Score], over: Over) -> list[Pair]:
    """The pairs that no other beats, cheapest first, and the zero vector for all steps.

    Not among them, where fewer steps are allowed and memory is no objective, are thinned ones that are worth
    no more than full steps of the same cost, and those with which further steps do harm.
    """
    full = space.structure.full_counts()
    tried = list(pairs)
    if over == "vectors_and_steps" and space.peak_bytes is None:
        steps = [pair for pair in tried if pair.counts == full]
        costs = [space.cost(pair) for pair in tried]
        rivals = zip(tried, _steps({p.share: pairs[p] for p in steps}, costs).tolist(), strict=True)
        above = [pair for pair, rival in rivals if pair.counts == full or pairs[pair].mean > rival]
        tried = [pair for pair in above if pair.counts == full or not _harms_later(pairs, pair)]
    best = [tried[i] for i in non_dominated([space.point(pair, pairs[pair].mean) for pair in tried])]
    return best if Pair(full) in best else [*best, Pair(full)]


def _harms_later(pairs: Mapping[Pair, Score], pair: Pair) -> bool:
    """Whether more steps with its vector are worth less; a client with time left goes on with it."""
    return any(
        score.mean < pairs[pair].mean
        for (counts, share), score in pairs.items()
        if counts == pair.counts and share > pair.share
    )


def _with_overtaking(
    space: Space, scores: Mapping[Counts, Score], over: Over, entries: Mapping[Pair, Score]
) -> dict[Pair, Score]:
    """The entries, and after a thinned one the full network at the cost from which on it is worth more.

    Costs are looked at in steps of 1 / GRID, up to the next entry.
    """
    if over == "vectors" or space.peak_bytes is not None:
        return dict(entries)
    full = space.structure.full_counts()
    grid = np.arange(1, GRID) / GRID
    heights = _steps(scores[full].by_share, grid)
    found: dict[Pair, Score] = {}
    for (pair, score), (after, _) in pairwise([*entries.items(), (Pair(full), scores[full])]):
        found[pair] = score
        if pair.counts == full:
            continue
        between = (grid > space.cost(pair)) & (grid < space.cost(after))
        for share in grid[between & (heights > score.mean)][:1].tolist():
            found[Pair(full, share)] = scores[full].after(share)
    return found


def _steps(by_share: Mapping[float, Score], costs: Sequence[float] | np.ndarray) -> np.ndarray:
    """Progress of as many full steps as each of the costs allows; by_share: the full network's scores."""
    return fewer_steps(list(by_share), [score.mean for score in by_share.values()], np.asarray(costs))
