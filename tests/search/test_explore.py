"""The search on objectives that are known in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load
from distreal_sim.models import Model
from distreal_sim.search.explore import Evaluate, Generation, explore, first_generation
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Search
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.table import front_of
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Counts

from .toy_search import roots, toy_space


def settings(**changes: object) -> Search:
    values = {"population": 16, "generations": 40, "evaluations": 300, **changes}
    return Search.model_validate({"experiment": Path("none.yaml"), **values})


def analytic(*weights: float, seen: list[Counts] | None = None) -> Evaluate:
    """The score is a weighted sum of the kept channels; every candidate asked for is added to `seen`."""

    def evaluate(asked: Sequence[Counts]) -> Iterator[Score]:
        for counts in asked:
            if seen is not None:
                seen.append(counts)
            value = sum(w * n for w, n in zip(weights, counts, strict=True))
            yield Score(((value, value),))

    return evaluate


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_a_known_pareto_set_is_found(seed: int) -> None:
    """Only the first of three groups of 8 counts, and every channel costs: (n, 1, 1) for n = 1 ... 8 are all
    the Pareto-optimal ones of the 512 candidates. The zero vector is in the front although it is dominated.
    """
    space = toy_space(8, 8, 8)
    found = explore(space, settings(seed=seed, evaluations=250), analytic(1.0, 0.0, 0.0))
    assert len(found.scores) <= 250
    assert list(front_of(space, found.scores, "vectors")) == [
        *(Pair((n, 1, 1)) for n in range(1, 9)),
        Pair((8, 8, 8)),
    ]


def test_a_function_of_the_seed_alone() -> None:
    """numpy's global generator makes no difference; another seed does."""
    space, orders = toy_space(8, 8, 8), []
    for seed, noise in ((1, 0), (1, 99), (2, 0)):
        np.random.seed(noise)
        found = explore(space, settings(seed=seed, evaluations=60), analytic(1.0, 0.5, 2.0))
        orders.append(list(found.scores))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_each_candidate_is_scored_once_and_only_if_allowed() -> None:
    space, seen = toy_space(6, 6, smallest=0.2), []
    found = explore(space, settings(generations=10), analytic(1.0, 1.0, seen=seen))
    assert len(seen) == len(set(seen)) == len(found.scores)
    assert all(space.relative_macs(counts) >= 0.2 for counts in seen)
    assert seen[0] == (6, 6)


def test_the_budget_is_kept_to() -> None:
    """37 is in the middle of a generation; the candidates are the first 37 of a longer search."""
    space, rows = toy_space(8, 8, 8), list[Generation]()
    found = explore(space, settings(evaluations=37), analytic(1, 1, 1), rows.append)
    assert (len(found.scores), found.stopped) == (37, "evaluations")
    longer = explore(space, settings(evaluations=90), analytic(1, 1, 1))
    assert list(longer.scores)[:37] == list(found.scores)
    assert tuple(rows) == found.generations
    assert [row.generation for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].evaluations == 37
    volumes = [row.hypervolume for row in rows]
    assert volumes == sorted(volumes)


def test_screening_keeps_to_the_rules() -> None:
    """Each allowed candidate once, the budget, and the same again."""
    space, seen = toy_space(16, 16, 8, 8, smallest=0.1), list[Counts]()
    wanted = settings(evaluations=50, population=8, screening=8)
    found = explore(space, wanted, analytic(1.0, 0.5, 2.0, 0.1, seen=seen))
    assert (len(found.scores), found.stopped) == (50, "evaluations")
    assert seen == list(dict.fromkeys(seen)) == list(found.scores)
    assert all(space.allows(counts) for counts in seen)
    assert list(explore(space, wanted, analytic(1.0, 0.5, 2.0, 0.1)).scores) == seen


def test_screening_finds_more() -> None:
    """Six groups of 8, of which two matter: with 40 vectors it beats plain NSGA-II, mean of 3 seeds."""
    space, volumes = toy_space(8, 8, 8, 8, 8, 8), dict[int, list[float]]({1: [], 8: []})
    for screening in volumes:
        for seed in range(1, 4):
            wanted = settings(evaluations=40, seed=seed, screening=screening)
            found = explore(space, wanted, analytic(2.0, 1.0, 0.0, 0.0, 0.0, 0.0))
            volumes[screening].append(found.generations[-1].hypervolume)
    assert np.mean(volumes[8]) > np.mean(volumes[1])


def test_other_ends() -> None:
    """Two groups of 2 channels have four candidates: all of them are in the first generation, after which no
    vector is new. With three generations allowed of a larger space, it ends after three; when time is up,
    after the one that is going on.
    """
    small = explore(toy_space(2, 2), settings(), analytic(1, 1))
    assert (len(small.scores), small.stopped) == (4, "no new vectors")
    space = toy_space(8, 8, 8)
    three = explore(space, settings(generations=3), analytic(1, 1, 1))
    assert (len(three.generations), three.stopped) == (3, "generations")
    late = explore(space, settings(), analytic(1, 1, 1), out_of_time=lambda: True)
    assert (len(late.generations), late.stopped) == (1, "wall_s")


def test_stall() -> None:
    """The optimum, (n, 1, 1), is found after a while; the search ends 4 generations after the last gain."""
    found = explore(
        toy_space(8, 8, 8), settings(stall=4, generations=500, evaluations=512), analytic(1, 0, 0)
    )
    volumes = [row.hypervolume for row in found.generations]
    assert found.stopped == "stall"
    assert volumes[-5] == volumes[-1] > volumes[-6]


def test_no_progress_is_an_error() -> None:
    with pytest.raises(InputError, match=r"change the validation loss by \+16, .* take more steps"):
        explore(toy_space(8, 8), settings(), analytic(-1, -1))


def test_the_first_generation() -> None:
    """Half of it uniform, the zero vector first, all distinct, all allowed, within d_max."""
    space = toy_space(16, 32, 64, smallest=0.05)
    rates = first_generation(space, 20, np.random.default_rng(3))
    counts = [space.counts(vector) for vector in rates]
    assert rates.shape == (20, 3)
    assert counts[:10] == space.uniform(10)
    assert counts[0] == (16, 32, 64)
    assert len(set(counts)) == 20
    assert all(space.allows(c) for c in counts)
    assert rates.max() <= 0.9


def test_the_space_may_be_smaller_than_the_population() -> None:
    space: Space = toy_space(2)
    assert first_generation(space, 10, np.random.default_rng(3)).tolist() == [[0.0], [0.5]]


def test_residual_networks_begin_with_inner_filters_too() -> None:
    """Of 16 vectors of ResNet-20 eight are uniform, then four thin the inner filters only."""
    module = load(Model, "resnet20")().build((3, 32, 32), 10)
    structure = find_groups(module, torch.zeros(2, 3, 32, 32))
    space = Space(structure, structure.thinnable(False), 0.9)
    rates = first_generation(space, 16, np.random.default_rng(3))
    counts = [space.counts(vector) for vector in rates]
    assert counts[:12] == [*space.uniform(8), *space.inner(4)]
    assert len(set(counts)) == 16


def test_the_hypervolume_is_that_of_the_pairs() -> None:
    """Of a single vector, the zero vector, with relative scores 0.5 at 0.25, sqrt(0.5) at 0.5, 1 at 1: areas
    0.25 * 0.5, 0.5 * sqrt(0.5) and 0.05; for all steps the last one only.
    """
    space = toy_space(8, d_max=0.01)
    expected = {"vectors": 0.05, "vectors_and_steps": 0.25 * 0.5 + 0.5 * 0.5**0.5 + 0.05}
    for over, volume in expected.items():
        found = explore(space, settings(over=over), roots)
        assert found.generations[-1].hypervolume == pytest.approx(volume, abs=1e-12)
