"""The search against trying everything, with real trainings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from toys import TOY

from distreal_sim.config import parse_experiment
from distreal_sim.search.explore import explore
from distreal_sim.search.objective import make_objective
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.score import Score
from distreal_sim.search.space import Space
from distreal_sim.search.table import front_of
from distreal_sim.thinning.structure import Counts

from .toy_search import tiny_search


@pytest.mark.slow
def test_a_grid_of_six_by_six(tmp_path: Path) -> None:
    """A network of two hidden layers of 6 (two_layers.TwoLayers): the search agrees with all 36 trainings.

    Half of them are Pareto-optimal, so that only a search that may try all can find each. One of 24 vectors
    reaches 90 % of their hypervolume, which all uniform vectors together do not.
    """
    search, _ = tiny_search(
        tmp_path, population=8, generations=200, evaluations=36, smallest=0.0, snapshots=[0], steps=20
    )
    experiment = parse_experiment({**TOY, "model": {"name": "search.two_layers.TwoLayers"}}, source="toy")
    objective = make_objective(search, experiment)
    space = objective.space
    everything = {
        counts: objective.score(counts, "search") for counts in itertools.product(range(1, 7), repeat=2)
    }

    def evaluate(asked: Sequence[Counts]) -> list[Score]:
        return [everything[counts] for counts in asked]

    found = explore(space, search, evaluate)
    of_found, of_all = (front_of(space, scores, "vectors") for scores in (found.scores, everything))
    assert of_found == of_all
    short = explore(space, search.model_copy(update={"evaluations": 24}), evaluate)
    uniform = {counts: everything[counts] for counts in space.uniform(50)}
    best = volume(space, everything)
    assert volume(space, uniform) < 0.9 * best < volume(space, short.scores)


def volume(space: Space, scores: Mapping[Counts, Score]) -> float:
    points = [(space.relative_macs(counts), score.mean) for counts, score in scores.items()]
    return hypervolume(points, scores[6, 6].mean)
