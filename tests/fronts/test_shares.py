"""Fronts over vectors and shares of the planned examples."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.fronts.entry import Entry, make_entry
from distreal_sim.fronts.front import Front, make_front
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure

NETWORK = nn.Sequential(
    nn.Conv2d(2, 4, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(4, 8, 1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(8, 3),
)
"""Keeping k1 of 4 and k2 of 8 filters costs 1296 k1 + 108 k1 k2 + 9 k2 MACs: see test_front.py."""

STRUCTURE: Structure = find_groups(NETWORK, torch.zeros(2, 2, 6, 6))

SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)

RATES = {(2, 4): [0.5, 0.5], (3, 6): [0.25, 0.25], (4, 8): [0.0, 0.0]}
MACS = {(2, 4): 3492, (3, 6): 5886, (4, 8): 8712}


def affordable_best(front: Front, budget: float) -> int:
    """Scans all entries: the zero vector, which is last, if it fits, or else the best score that does."""
    costs = [entry.share * entry.macs for entry in front.entries]
    if costs[-1] <= budget:
        return len(costs) - 1
    fitting = [(entry.score, i) for i, entry in enumerate(front.entries) if costs[i] <= budget]
    return max(fitting)[1] if fitting else 0


CANDIDATE = st.tuples(st.sampled_from(list(RATES)), st.sampled_from(SHARES), st.floats(-5, 5))


@given(
    st.lists(CANDIDATE, max_size=15), st.one_of(st.floats(-1, 10_000), st.sampled_from([math.inf, -math.inf]))
)
def test_lookup_equals_a_scan(candidates: list[tuple[tuple[int, int], float, float]], budget: float) -> None:
    """Of random fronts: the most expensive entry within the budget, which has the best score within it."""
    rates = np.array([RATES[kept] for kept, *_ in candidates]).reshape(-1, 2)
    shares, scores = [c[1] for c in candidates], [c[2] for c in candidates]
    front = make_front(STRUCTURE, (0, 1), rates, scores, shares=shares, model="m", made={})
    costs = [entry.share * entry.macs for entry in front.entries]
    for asked in (budget, *costs):
        found = front.lookup(asked)
        fitting = [cost for cost in costs if cost <= asked]
        assert costs[found] == max(fitting, default=costs[0])
        assert found == affordable_best(front, asked)


@given(st.lists(CANDIDATE, max_size=15))
def test_no_entry_is_dominated_and_every_candidate_is_matched(
    candidates: list[tuple[tuple[int, int], float, float]],
) -> None:
    """Costs grow strictly, scores up to the entry before the zero vector; a candidate that is no entry is
    matched or beaten by an entry that costs no more.
    """
    rates = np.array([RATES[kept] for kept, *_ in candidates]).reshape(-1, 2)
    shares, scores = [c[1] for c in candidates], [c[2] for c in candidates]
    front = make_front(STRUCTURE, (0, 1), rates, scores, shares=shares, model="m", made={})
    costs = [entry.macs_per_planned_example for entry in front.entries]
    assert all(a < b for a, b in pairwise(costs))
    kept = [entry.score for entry in front.entries[:-1]]
    assert all(a < b for a, b in pairwise(kept))
    last = front.entries[-1]
    assert (last.counts, last.rates, last.share, costs[-1]) == ((4, 8), (0.0, 0.0), 1.0, 8712)
    for counts, share, score in candidates:
        assert any(
            e.score >= score and c <= share * MACS[counts] for e, c in zip(front.entries, costs, strict=True)
        )


def progress(counts: tuple[int, int], share: float) -> float:
    """Concave in steps: a ceiling that falls with what is dropped, approached at one rate per vector.

    With all examples the full network reaches 1 - 2^-4 of its ceiling 1, three quarters of the filters
    1 - 2^-8 of 0.9, half of them 1 - 2^-12 of 0.6.
    """
    ceiling, halvings = {(4, 8): (1.0, 4), (3, 6): (0.9, 8), (2, 4): (0.6, 12)}[counts]
    return ceiling * (1 - 2 ** (-halvings * share))


def test_the_known_front_is_found() -> None:
    """On the grid of 3 vectors x 5 shares. Costs are share x 3492, 5886, 8712; scores by `progress`:

        share        1/8     1/4     1/2     3/4     1
        half         436.5   873     1746    2619    3492     .3879 .5250 .5906 .5988 .5999
        3 quarters   735.75  1471.5  2943    4414.5  5886     .4500 .6750 .8438 .8859 .8965
        full         1089    2178    4356    6534    8712     .2929 .5000 .7500 .8750 .9375

    By cost: 436.5 (.3879), 735.75 (.4500), 873 (.5250), 1471.5 (.6750), 2943 (.8438), 4414.5 (.8859), 5886
    (.8965), 8712 (.9375); the others score no more than a cheaper one: 1089, 1746, 2178, 2619, 3492, 4356,
    6534. So half the filters only for 1/8 and 1/4 of the examples, and the full network only for all.
    """
    pairs = list(product(RATES, SHARES))
    rates = np.array([RATES[kept] for kept, _ in pairs])
    scores = [progress(*pair) for pair in pairs]
    shares = np.array([share for _, share in pairs])
    front = make_front(STRUCTURE, (0, 1), rates, scores, shares=shares, model="m", made={})
    assert [(e.counts, e.share) for e in front.entries] == [
        ((2, 4), 1 / 8), ((3, 6), 1 / 8), ((2, 4), 1 / 4), ((3, 6), 1 / 4),
        ((3, 6), 1 / 2), ((3, 6), 3 / 4), ((3, 6), 1.0), ((4, 8), 1.0),
    ]  # fmt: skip
    costs = {pair: pair[1] * MACS[pair[0]] for pair in pairs}
    by_force = {
        pair
        for pair in pairs
        if not any(
            costs[other] <= costs[pair] and progress(*other) >= progress(*pair)
            for other in pairs
            if other != pair
        )
    }
    assert {(e.counts, e.share) for e in front.entries} == by_force


def test_thinning_that_never_pays_leaves_fewer_steps() -> None:
    """Ceilings of thinned steps so low that even 1/8 of the full ones beats them all for their cost."""
    scores = {(4, 8): 1.0, (3, 6): 0.1, (2, 4): 0.05}
    pairs = list(product(RATES, SHARES))
    rates = np.array([RATES[kept] for kept, _ in pairs])
    values = [scores[kept] * (1 - 2 ** (-8 * share)) for kept, share in pairs]
    shares = [share for _, share in pairs]
    front = make_front(STRUCTURE, (0, 1), rates, values, shares=shares, model="m", made={})
    full = [e.share for e in front.entries if e.counts == (4, 8)]
    assert full == list(SHARES)
    assert [e.macs_per_planned_example < 1089 for e in front.entries if e.counts != (4, 8)] == [True, True]
    assert front.thins
    only = make_front(STRUCTURE, (0, 1), rates[-5:], values[-5:], shares=SHARES, model="m", made={})
    assert [e.share for e in only.entries] == list(SHARES)
    assert not only.thins


def test_costs_scores_and_rates_of_shares() -> None:
    """Without scores, share x relative MACs; the full network by way of tiny rates has rates 0 at every
    share; a zero vector for fewer steps does not take the place of the last entry.
    """
    assert make_entry(STRUCTURE, (0, 1), [0.5, 0.5], None, share=0.5).score == 0.5 * 3492 / 8712
    rates = np.array([[0.5, 0.5], [0.01, 0.01]])
    front = make_front(STRUCTURE, (0, 1), rates, None, shares=[1.0, 0.5], model="m", made={})
    assert [(e.rates, e.share, e.macs_per_planned_example) for e in front.entries] == [
        ((0.5, 0.5), 1.0, 3492), ((0.0, 0.0), 0.5, 4356), ((0.0, 0.0), 1.0, 8712),
    ]  # fmt: skip
    scored = make_front(STRUCTURE, (0, 1), rates[1:], [0.7], shares=[0.5], model="m", made={})
    assert [(e.share, e.score) for e in scored.entries] == [(0.5, 0.7), (1.0, 0.7)]


@pytest.mark.parametrize("share", [0.0, -0.5, 1.0001, math.nan, math.inf])
def test_what_is_no_share(share: float) -> None:
    with pytest.raises(InputError, match=r"share .* must be in \(0, 1\]"):
        make_front(STRUCTURE, (0, 1), np.zeros((1, 2)), [1.0], shares=[share], model="m", made={})


def test_hypervolume_and_vectors_by_hand() -> None:
    """Costs 0.5 x 40, 0.5 x 100 and 100 are 0.2, 0.5 and 1: 0.3 x 0.25 + 0.5 x 0.75 + 0.05. The vectors in
    the order of their steps' MACs: 40 and 100, each once.
    """
    entries = (
        Entry((0.5,), (4,), 40, 0.5, share=0.5),
        Entry((0.0,), (10,), 100, 1.5, share=0.5),
        Entry((0.0,), (10,), 100, 2.0),
    )
    front = Front(entries, "m", ("g",), {})
    assert front.hypervolume == pytest.approx(0.075 + 0.375 + 0.05)
    assert [entry.macs for entry in front.vectors] == [40, 100]
    assert (front.has_shares, front.thins) == (True, True)
