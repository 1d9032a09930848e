"""Which proposals are trained."""

from __future__ import annotations

import itertools

import numpy as np

from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.score import Score
from distreal_sim.search.screen import add_most, screen
from distreal_sim.thinning.structure import Counts

from .toy_search import toy_space


def test_what_adds_most_hypervolume_first() -> None:
    """Against the front (0.5, 1), (1, 2).

    Alone, (0.25, 0.8) adds 0.25 * 0.8 = 0.2, (0.75, 1.8) adds 0.25 * 0.8 = 0.2 too, (0.5, 1.8) adds
    0.5 * 0.8 = 0.4 and is first. Beside it (0.75, 1.8) adds nothing and (0.25, 0.8) still adds 0.2.
    """
    front = [(0.5, 1.0), (1.0, 2.0)]
    offers = [(0.75, 1.8), (0.25, 0.8), (0.6, 0.5), (0.5, 1.8)]
    assert add_most(front, offers, 2) == [3, 1]
    assert add_most(front, offers, 4) == [3, 1, 0, 2]


def test_against_a_plain_loop() -> None:
    """The same choice as computing the hypervolume of everything each time, for random points."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        front = [(float(m), float(s)) for m, s in rng.uniform(0, 1, (6, 2))]
        offers = [(float(m), float(s)) for m, s in rng.uniform(0, 1.2, (12, 2)) - [0, 0.2]]
        chosen: list[int] = []
        for _ in range(5):
            left = [i for i in range(12) if i not in chosen]
            held = [*front, *(offers[i] for i in chosen)]
            gains = [hypervolume([*held, offers[i]], 1.0) - hypervolume(held, 1.0) for i in left]
            if max(gains) < 1e-12:
                break
            chosen.append(left[int(np.argmax(gains))])
        assert add_most(front, offers, 5)[: len(chosen)] == chosen


def test_what_the_scores_teach() -> None:
    """The score is the share kept of the second of three groups, every channel costs. From 60 vectors at
    random, with no noise, the model learns that (1, n, 1) are the ones to train, among 240 others.
    """
    space, rng = toy_space(8, 8, 8), np.random.default_rng(2)
    everything = list(itertools.product(range(1, 9), repeat=3))
    best = [(1, n, 1) for n in range(2, 8)]
    others = [c for c in everything if c not in best and c != (8, 8, 8)]
    order = rng.permutation(len(others))
    tried = [(8, 8, 8), *(others[i] for i in order[:60])]
    scores: dict[Counts, Score] = {c: Score(((c[1] / 8,) * 2,)) for c in tried}
    proposed = [*(others[i] for i in order[60:300]), *best]
    chosen = screen(space, scores, proposed, 8)
    assert set(best) <= {c for c in chosen if c[0] <= 1 and c[2] <= 1}
    assert len(set(chosen)) == 8
    assert screen(space, scores, proposed, 8) == chosen
    assert screen(space, scores, proposed[:5], 8) == proposed[:5]
