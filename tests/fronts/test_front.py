"""The Pareto table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front, fingerprint, gap_line, make_front, uniform_rates
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Two convolutions of 4 and 8 filters (3x3 and 1x1) on 2x6x6 inputs, and a classifier of 3."""
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return find_groups(network, torch.zeros(2, 2, 6, 6))


def front_of(structure: Structure, rates: list[list[float]], scores: list[float] | None = None) -> Front:
    return make_front(structure, (0, 1), np.array(rates), scores, model="m", made={"how": "by hand"})


def test_costs_by_hand(structure: Structure) -> None:
    """36 positions. Keeping k1 of 4 and k2 of 8: the first layer costs 9 * 2 * k1 * 36 forward and as much
    for its weight's gradient (its input needs none); the second k1 * k2 * 36 and the classifier k2 * 3 three
    times. Full: 2 * 2592 + 3 * 1152 + 3 * 24 = 8712. Half of each: 2 * 1296 + 3 * 288 + 3 * 12 = 3492.
    """
    front = front_of(structure, [[0.5, 0.5], [0.0, 0.0]])
    assert [(e.counts, e.macs) for e in front.entries] == [((2, 4), 3492), ((4, 8), 8712)]
    assert [e.score for e in front.entries] == [3492 / 8712, 1.0]
    assert front.groups == ("0", "2")


def lookup_by_scan(front: Front, budget: float) -> int:
    """The entry of highest score that fits; 0 if none does."""
    fitting = [(e.score, -i) for i, e in enumerate(front.entries) if e.macs <= budget]
    return -max(fitting)[1] if fitting else 0


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=12, unique=True),
    st.one_of(st.integers(-3, 55), st.floats(-1, 60), st.just(math.inf), st.just(-math.inf)),
)
def test_lookup_equals_a_scan(macs: list[int], budget: float) -> None:
    front = Front(tuple(Entry((0.0,), (m,), m, m / 50) for m in sorted(macs)), "m", ("g",), {})
    assert front.lookup(budget) == lookup_by_scan(front, budget)


def test_lookup_at_the_edges() -> None:
    """A budget equal to an entry's cost takes it; inf the last; 0 and less the first."""
    front = Front(tuple(Entry((0.0,), (m,), m, m / 50) for m in (10, 20, 50)), "m", ("g",), {})
    budgets = [-math.inf, -1, 0, 9, 10, 19.999, 20, 49, 50, 51, math.inf]
    assert [front.lookup(b) for b in budgets] == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2]


def test_dominated_and_repeated_candidates_are_left_out(structure: Structure) -> None:
    """Of candidates with equal cost the best stays, of equal scores the cheapest, and none that costs more
    and scores less than another. Counts (k1, k2) cost 1296 k1 + 108 k1 k2 + 9 k2, for example (1, 2):
    1296 + 216 + 18 = 1530. (2, 2) costs more than (1, 2) and worse; (3, 4) is no better than (2, 4).
    """
    rates = {(1, 2): [0.75, 0.75], (2, 2): [0.5, 0.75], (2, 4): [0.5, 0.5], (3, 4): [0.25, 0.5]}
    costs = {k: training_macs(structure, k) for k in rates}
    assert costs == {(1, 2): 1530, (2, 2): 3042, (2, 4): 3492, (3, 4): 5220}
    chosen = [(1, 2), (2, 2), (2, 4), (2, 4), (3, 4)]
    scores = [0.3, 0.2, 0.5, 0.6, 0.6]
    front = front_of(structure, [rates[k] for k in chosen], scores)
    assert [(e.counts, e.score) for e in front.entries] == [((1, 2), 0.3), ((2, 4), 0.6), ((4, 8), 0.6)]


def test_the_zero_vector_keeps_its_own_score(structure: Structure) -> None:
    """It is the last entry although (2, 4) beats it; of two measurements of it the better counts. Where it
    was not measured it gets the best score.
    """
    rates = [[0.5, 0.5], [0.0, 0.0], [0.01, 0.01]]
    front = make_front(
        structure, (0, 1), np.array(rates), [0.6, 0.3, 0.4], errors=[1, 2, 3], model="m", made={}
    )
    assert [(e.counts, e.score, e.score_error) for e in front.entries] == [((2, 4), 0.6, 1), ((4, 8), 0.4, 3)]
    assert front.entries[-1].rates == (0.0, 0.0)
    front = make_front(structure, (0, 1), np.array(rates[:1]), [0.6], errors=[1], model="m", made={})
    assert [(e.score, e.score_error) for e in front.entries] == [(0.6, 1), (0.6, None)]


def test_sizes_by_hand(structure: Structure) -> None:
    """Keeping k1 of 4 and k2 of 8: forward 36 * (18 k1 + k1 k2) + 3 k2 MACs; parameters 18 k1 + k1 of the
    first layer, k1 k2 + k2 of the second, 3 k2 + 3 of the classifier, 4 bytes each. For (2, 4):
    36 * 44 + 12 = 1596; 38 + 12 + 15 = 65. The backward pass costs the rest of the 3492 MACs. Keep rate: mean
    of 2/4 and 4/8.
    """
    entry, full = front_of(structure, [[0.5, 0.5], [0.0, 0.0]]).entries
    assert (entry.forward_macs, entry.backward_macs, entry.macs) == (1596, 1896, 3492)
    assert (entry.n_parameters, entry.model_bytes) == (65, 260)
    assert entry.keep_rate(full.counts) == 0.5
    assert (full.forward_macs, full.n_parameters) == (36 * 104 + 24, 76 + 40 + 27)


def test_hypervolume_by_hand() -> None:
    """Relative MACs 0.2, 0.5, 1 and scores 0.25, 1.25, 1: 0.3 * 0.25 + 0.5 * 1.25 + 0.05 * 1.25, for what the
    second entry reaches the more expensive zero vector does not lower. A negative score adds nothing.
    """

    def volume(*points: tuple[int, float]) -> float | None:
        return Front(tuple(Entry((0.0,), (m,), m, s) for m, s in points), "m", ("g",), {}).hypervolume

    assert volume((20, 0.5), (50, 2.5), (100, 2.0)) == pytest.approx(0.075 + 0.625 + 0.0625)
    assert volume((20, -1.0), (50, 1.0), (100, 2.0)) == pytest.approx(0.5 * 0.5 + 0.05)
    assert volume((100, 2.0)) == pytest.approx(0.05)
    assert volume((20, 0.5), (100, 0.0)) is None
    assert volume() is None


def test_the_widest_gap() -> None:
    """Between thinned entries at 10, 40 and 90 % and the full network: from 40 to 90 %. With 0.4 of the full
    steps in the place of the second no gap is wide enough, nor is that from 80 to 100 %.
    """

    def gap(*entries: tuple[int, int, float]) -> tuple[float, float] | None:
        rows = (Entry((0.0,), (kept,), macs, i, share=share) for i, (kept, macs, share) in enumerate(entries))
        return Front(tuple(rows), "m", ("g",), {}).wide_gap

    full = (10, 100, 1.0)
    assert gap((1, 10, 1.0), (4, 40, 1.0), (9, 90, 1.0), full) == (0.4, 0.9)
    assert gap((2, 20, 1.0), (10, 100, 0.4), (9, 90, 1.0), full) is None
    assert gap((8, 80, 1.0), full) is None
    assert gap((4, 50, 1.0), (5, 75, 1.0), full) == (0.5, 0.75)
    assert gap(full) is None
    assert gap_line(0.4, 0.9) == "no entry between 40 % and 90 % of the full MACs"


class Counted(float):
    """A budget that counts the comparisons made with it."""

    made = 0

    def __lt__(self, other: float) -> bool:
        Counted.made += 1
        return float(self) < other

    def __gt__(self, other: float) -> bool:
        Counted.made += 1
        return float(self) > other


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_lookup_halves_the_table(n: int) -> None:
    """At most floor(log2 n) + 1 comparisons, 10 for 1000 entries, whatever the budget; the same answer."""
    front = Front(tuple(Entry((0.0,), (m,), 3 * m, m / n) for m in range(1, n + 1)), "m", ("g",), {})
    for budget in range(0, 3 * n + 5):
        Counted.made = 0
        assert front.lookup(Counted(budget)) == front.lookup(budget) == max(0, min(n, budget // 3) - 1)
        assert 1 <= Counted.made <= math.floor(math.log2(n)) + 1


def test_rates_that_round_to_the_same_filters_are_one_entry(structure: Structure) -> None:
    """Rates 0.5 and 0.51 keep 2 of 4 and 4 of 8; rates near 0 are the full network, which is there anyway."""
    front = front_of(structure, [[0.5, 0.5], [0.51, 0.51], [0.01, 0.01]])
    assert [e.counts for e in front.entries] == [(2, 4), (4, 8)]
    assert front.entries[-1].rates == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 0.99), st.floats(0, 0.99), st.floats(-5, 5)), max_size=15))
def test_a_front_is_a_front(candidates: list[tuple[float, float, float]]) -> None:
    """Growing costs with growing scores, up to the zero vector, which is last; every candidate is matched
    or beaten by an entry that costs no more.
    """
    network = nn.Sequential(nn.Conv2d(1, 5, 1), nn.ReLU(), nn.Conv2d(5, 7, 1), nn.ReLU(), nn.Conv2d(7, 2, 1))
    structure = find_groups(nn.Sequential(network, nn.Flatten(), nn.Linear(8, 2)), torch.zeros(2, 1, 2, 2))
    groups = structure.thinnable(False)[:2]
    rates, scores = np.array([c[:2] for c in candidates]).reshape(-1, 2), [c[2] for c in candidates]
    front = make_front(structure, groups, rates, scores, model="m", made={})
    macs, kept = [e.macs for e in front.entries], [e.score for e in front.entries]
    assert macs == sorted(set(macs))
    assert kept[:-1] == sorted(kept[:-1])
    assert front.entries[-1].rates == (0.0, 0.0)
    assert front.entries[-1].counts == structure.full_counts()
    for rate, score in zip(rates, scores, strict=True):
        own = make_front(structure, groups, rate[None], [score], model="m", made={}).entries[0].macs
        assert any(e.macs <= own and e.score >= score for e in front.entries)


@pytest.mark.parametrize("scores", [None, []])
def test_without_candidates_the_zero_vector_is_left(structure: Structure, scores: list[float] | None) -> None:
    front = make_front(structure, (0, 1), np.zeros((0, 2)), scores, model="m", made={})
    assert [e.counts for e in front.entries] == [(4, 8)]
    assert front.lookup(0) == front.lookup(math.inf) == 0


def test_uniform_rates(structure: Structure) -> None:
    """Rates 0, 1/4, 2/4, 3/4 in every group; of 4 and 8 filters they keep 4, 3, 2, 1 and 8, 6, 4, 2."""
    rates = uniform_rates(4, 2)
    np.testing.assert_array_equal(rates, [[0, 0], [0.25, 0.25], [0.5, 0.5], [0.75, 0.75]])
    front = make_front(structure, (0, 1), rates, None, model="m", made={})
    assert [e.counts for e in front.entries] == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert uniform_rates(1, 3).tolist() == [[0, 0, 0]]


def test_groups_without_a_rate_stay_whole(structure: Structure) -> None:
    front = make_front(structure, (1,), np.array([[0.5]]), None, model="m", made={})
    assert [e.counts for e in front.entries] == [(4, 4), (4, 8)]


def test_fingerprint() -> None:
    """Names and shapes of parameters decide, their values do not."""
    prints = [
        fingerprint(m)
        for m in (nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 4)))
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert all(len(p) == 16 for p in prints)
