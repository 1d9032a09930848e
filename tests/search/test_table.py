"""The front of what was tried: which pairs of a vector and a share of the steps are entries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from distreal_sim.search.score import Score
from distreal_sim.search.space import Pair
from distreal_sim.search.table import confirmed, front_of, table_of

from .toy_search import ROOT_SHARES, roots, toy_space

EVERYTHING = list(itertools.product(range(1, 9), repeat=2))
"""All vectors of two groups of 8."""


def test_a_known_front_over_vectors_and_steps() -> None:
    """Of progress n sqrt(k), where n of the first group are kept; the second only costs. Measured pairs are
    entries by the definition: no other has as much progress for no more MACs, and fewer full steps have less
    at their cost: the root at 0, 1/4, 1/2 and 1, and straight lines between. With vectors only the front is
    (n, 1) for all steps. Both end with the zero vector.
    """
    space = toy_space(8, 8)
    scores = dict(zip(EVERYTHING, roots(EVERYTHING), strict=True))
    pairs = {
        Pair(c, share): (share * space.relative_macs(c), c[0] * share**0.5)
        for c in EVERYTHING
        for share in (*ROOT_SHARES, 1.0)
    }

    def best(pair: Pair) -> bool:
        cost, score = pairs[pair]
        rival = np.interp(cost, [0, 0.25, 0.5, 1], [0, 4, 8 * 0.5**0.5, 8])
        return (pair.counts == (8, 8) or score > rival) and not any(
            a <= cost and b >= score and (a, b) != (cost, score) for a, b in pairs.values()
        )

    front = front_of(space, scores, "vectors_and_steps")
    measured = [pair for pair in front if pair in pairs]
    assert measured[-1] == Pair((8, 8))
    assert set(measured) == {pair for pair in pairs if best(pair)} | {Pair((8, 8))}
    assert any(pair.share < 1 for pair in measured)
    assert all(pair.counts == (8, 8) for pair in front if pair not in pairs)
    vectors = front_of(space, scores, "vectors")
    assert list(vectors) == [*(Pair((n, 1)) for n in range(1, 9)), Pair((8, 8))]


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_at_every_budget(seed: int) -> None:
    """Of known progress, powers of the channels and of the steps with random exponents: at budgets of 1/1000,
    2/1000, ... the last entry that fits has the vector of what is best there, of all measured pairs that fit
    and as many full steps as fit.
    """
    space, rng = toy_space(8, 8), np.random.default_rng(seed)
    (p, r), q = rng.uniform(0.1, 1, 2), rng.uniform(0.3, 1)

    def after(counts: tuple[int, ...], share: float) -> float:
        return float((counts[0] / 8) ** p * (counts[1] / 8) ** r * share**q)

    scores = {
        c: Score(((after(c, 1),) * 2,), tuple((s, Score(((after(c, s),) * 2,))) for s in ROOT_SHARES))
        for c in EVERYTHING
    }
    entries = [(space.cost(pair), pair.counts) for pair in front_of(space, scores, "vectors_and_steps")]
    shares = (0.0, *ROOT_SHARES, 1.0)
    heights = [0.0, *(after((8, 8), s) for s in shares[1:])]
    thinned = [(s * space.relative_macs(c), after(c, s), c) for c in EVERYTHING[:-1] for s in shares[1:]]
    kinds = set()
    for budget in np.arange(math.ceil(entries[0][0] * 1000), 1000) / 1000 + 1e-7:
        of_thinned, counts = max((score, c) for cost, score, c in thinned if cost <= budget)
        of_full = np.interp(budget, shares, heights)
        chosen = [c for cost, c in entries if cost <= budget][-1]
        if abs(of_full - of_thinned) > 1e-4:
            assert chosen == ((8, 8) if of_full > of_thinned else counts)
            kinds.add(of_full > of_thinned)
    assert kinds


def by_half(half: float, whole: float) -> Score:
    """Progress after half of the steps, and after all."""
    return Score(((whole,) * 2,), ((0.5, Score(((half,) * 2,))),))


OVERTAKEN = {
    (1,): by_half(0.1, 0.4),
    (2,): by_half(0.3, 0.55),
    (3,): by_half(0.4, 0.75),
    (4,): by_half(0.6, 1),
}
"""A single group of 4, of which n cost n / 4."""


def test_where_the_full_network_overtakes() -> None:
    """Fewer full steps have 1.2 x of the progress at x <= 1/2: 0.3 at 1/4, where one filter has 0.4, and 0.6
    at 1/2, where two have 0.55. They have more than 0.4 from 1/3 on, 0.334 in steps of a thousandth.
    """
    front = front_of(toy_space(4), OVERTAKEN, "vectors_and_steps")
    assert list(front) == [Pair((1,)), Pair((4,), 0.334), Pair((4,), 0.5), Pair((4,))]
    assert [score.mean for score in front.values()] == pytest.approx([0.4, 1.2 * 0.334, 0.6, 1.0])
    assert list(front_of(toy_space(4), OVERTAKEN, "vectors")) == [Pair((n,)) for n in range(1, 5)]


@pytest.mark.parametrize("seed", [0, 19, 30])
def test_the_best_at_every_budget_where_more_steps_harm(seed: int) -> None:
    """Of random progress, which may fall with the steps: at every budget the entry that is looked up, or the
    best number of full steps that fit where it is the full network, is as good as the best of all that fits
    and after which no further step with its vector does harm.

    The budgets are those of the grid, so the full network is looked up at the first one where it is better;
    between the measured shares its progress is a straight line from the best before it.
    """
    space, rng = toy_space(8, 8), np.random.default_rng(seed)
    measured = {c: (0.1, 0.4, 0.6, 0.9) if c == (8, 8) else (0.2, 0.7) for c in EVERYTHING}

    def score(counts: tuple[int, ...]) -> Score:
        whole, *fewer = (float(x) for x in rng.uniform(-0.5, 1, 1 + len(measured[counts])))
        whole = abs(whole) if counts == (8, 8) else whole * space.relative_macs(counts)
        return Score(
            ((whole,) * 2,),
            tuple((s, Score(((d * s,) * 2,))) for s, d in zip(measured[counts], fewer, strict=True)),
        )

    scores = {c: score(c) for c in EVERYTHING}
    front = front_of(space, scores, "vectors_and_steps")
    entries = [(space.cost(pair), pair.counts, score.mean) for pair, score in front.items()]
    assert [height for *_, height in entries[:-1]] == sorted(height for *_, height in entries[:-1])
    thinned = [
        (s * space.relative_macs(c), v.mean)
        for c in EVERYTHING[:-1]
        for s, v in scores[c].by_share.items()
        if v.mean <= min(w.mean for t, w in scores[c].by_share.items() if t >= s)
    ]
    steps = {0.0: 0.0, **{share: own.mean for share, own in scores[8, 8].by_share.items()}}
    peaks = [max(list(steps.values())[: i + 1]) for i in range(len(steps))]
    for budget in np.arange(math.ceil(entries[0][0] * 1000), 1000) / 1000:
        whole = float(np.interp(budget, list(steps), peaks))
        best = max([whole, *(height for cost, height in thinned if cost <= budget)])
        _, counts, height = [entry for entry in entries if entry[0] <= budget][-1]
        assert (whole if counts == (8, 8) else height) == pytest.approx(best, abs=1e-9)


def test_thinned_entries_that_are_not_sure_are_left_to_the_full_network() -> None:
    """With 0.7 at 1/2 two filters are above 0.6, and full steps, 0.6 + 0.8 (x - 1/2) there, have more from
    0.626 on. Without that entry the full network is left where it overtakes the first one, and without that
    one nothing is thinned.
    """
    scores = {**OVERTAKEN, (2,): by_half(0.3, 0.7)}
    table = table_of(toy_space(4), scores, "vectors_and_steps", 9)
    assert list(table) == [Pair((1,)), Pair((4,), 0.334), Pair((2,)), Pair((4,), 0.626), Pair((4,))]
    first = confirmed(toy_space(4), scores, table, {Pair((1,))})
    assert list(first) == [Pair((1,)), Pair((4,), 0.334), Pair((4,))]
    assert first[Pair((4,), 0.334)].mean == pytest.approx(1.2 * 0.334)
    assert list(confirmed(toy_space(4), scores, table, set())) == [Pair((4,))]


def test_a_table_keeps_where_it_is_overtaken() -> None:
    """Two measured entries are allowed, the cheapest and the zero vector; the full network's is one more."""
    table = table_of(toy_space(4), OVERTAKEN, "vectors_and_steps", 2)
    assert list(table) == [Pair((1,)), Pair((4,), 0.334), Pair((4,))]
