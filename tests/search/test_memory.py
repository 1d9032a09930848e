"""Peak memory as a third objective."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import TOY

from distreal_sim.config import parse_experiment
from distreal_sim.fronts.front import Front
from distreal_sim.search.explore import explore
from distreal_sim.search.objective import make_objective
from distreal_sim.search.pareto import Point, best_subset, hypervolume, non_dominated
from distreal_sim.search.reevaluate import reevaluate
from distreal_sim.search.run import run_search
from distreal_sim.search.score import Score
from distreal_sim.search.screen import add_most
from distreal_sim.search.settings import Search
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.table import fastest_of, front_of, table_of
from distreal_sim.thinning.structure import Counts

from .test_run import Interrupting
from .toy_search import result, tiny_search, toy_space


def with_memory(space: Space, *sizes: int) -> Space:
    """Memory in closed form: so many bytes for a channel of each group."""
    return replace(space, peak_bytes=lambda counts: sum(np.multiply(sizes, counts).tolist()))


def test_equal_macs_and_less_memory_are_kept() -> None:
    """(0.5, 0.6, 1) and (0.5, 0.4, 0.8): as many MACs, less memory, less score. (0.5, 0.7, 1) and
    (0.6, 0.4, 0.8) are beaten. Without memory the first alone stays.
    """
    points = [(0.5, 0.7, 1.0), (0.5, 0.6, 1.0), (0.6, 0.4, 0.8), (0.5, 0.4, 0.8)]
    assert non_dominated(points) == [3, 1]
    assert non_dominated([(macs, score) for macs, _, score in points]) == [0]


def test_volume_by_hand() -> None:
    """Boxes to (1.05, 1.05, 0) of (0.5, 0.6, 1) and (0.5, 0.4, 0.8): 0.55 * 0.45 * 1 and, below 0.6 of
    memory, 0.55 * 0.2 * 0.8. Scores are divided by 1, then by 2.
    """
    points = [(0.5, 0.6, 1.0), (0.5, 0.4, 0.8)]
    assert hypervolume(points, 1.0) == pytest.approx(0.2475 + 0.088, abs=1e-12)
    assert hypervolume(points, 2.0) == pytest.approx((0.2475 + 0.088) / 2, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_against_the_definition(seed: int) -> None:
    """Points on a coarse grid, so that ties occur."""
    points = [tuple(map(float, p)) for p in np.random.default_rng(seed).integers(0, 6, (40, 3)) / 10]

    def beats(a: Point, b: Point) -> bool:
        return a[0] <= b[0] and a[1] <= b[1] and a[2] >= b[2] and a != b

    expected = {p for p in points if not any(beats(q, p) for q in points)}
    chosen = [points[i] for i in non_dominated(points)]
    assert (set(chosen), len(chosen)) == (expected, len(expected))


@pytest.mark.parametrize("seed", range(5))
def test_the_subset(seed: int) -> None:
    """It holds the first, the last and the one of least memory, and of what the best choice of 3 others of 7
    adds at least 1 - 1/e, as Nemhauser, Wolsey and Fisher (1978) prove of volumes.
    """
    rng = np.random.default_rng(seed)
    points = [(*map(float, p),) for p in rng.uniform(0, 1, (10, 3))]
    points = [*sorted(points)[:-1], (1.0, 1.0, 1.0)]
    least = min(range(10), key=lambda i: points[i][1])
    held = sorted({0, least, 9})

    def volume(chosen: Sequence[int]) -> float:
        return hypervolume([points[i] for i in chosen], 1.0)

    chosen = best_subset(points, len(held) + 3)
    assert set(held) < set(chosen)
    assert chosen == sorted(set(chosen))
    others = [i for i in range(10) if i not in held]
    best = max(volume([*held, *more]) for more in itertools.combinations(others, 3))
    assert volume(chosen) - volume(held) >= (1 - 1 / np.e) * (best - volume(held)) - 1e-12
    assert best_subset(points, 10) == list(range(10))


def test_screening_adds_volume() -> None:
    """Against (0.5, 0.5, 1): (0.5, 0.3, 0.8) adds 0.55 * 0.2 * 0.8 = 0.088, (0.4, 0.5, 0.9) adds
    0.1 * 0.55 * 0.9 = 0.0495, (0.5, 0.5, 0.9) nothing.
    """
    assert add_most([(0.5, 0.5, 1.0)], [(0.5, 0.5, 0.9), (0.4, 0.5, 0.9), (0.5, 0.3, 0.8)], 3) == [2, 1, 0]


def settings(**changes: object) -> Search:
    values = {"population": 16, "generations": 60, "evaluations": 300, "costs": "macs_and_memory", **changes}
    return Search.model_validate({"experiment": Path("none.yaml"), **values})


def kept_in_all(asked: Sequence[Counts]) -> Iterator[Score]:
    """As many as channels are kept."""
    for counts in asked:
        yield Score(((float(sum(counts)),) * 2,))


def test_a_known_front() -> None:
    """Two groups of 6: a and b cost 32 a + 48 a b + 6 b MACs and 1 a + 9 b bytes, and score a + b. For MACs
    alone the second group is the cheaper one to keep, for memory the first. The front is that of all 36
    candidates, from the definition; it has more entries than that of MACs alone, which clients with memory
    for all use.
    """
    space = with_memory(toy_space(6, 6), 1, 9)
    everything = dict(
        zip(
            cells := list(itertools.product(range(1, 7), repeat=2)),
            ((space.relative_macs(c), (c[0] + 9 * c[1]) / 60, sum(c)) for c in cells),
            strict=True,
        )
    )

    def is_best(own: Point, n_costs: int) -> bool:
        places = [*range(n_costs), 2]
        signs = (1, 1, -1)
        return not any(
            all(signs[i] * other[i] <= signs[i] * own[i] for i in places)
            and any(other[i] != own[i] for i in places)
            for other in everything.values()
        )

    found = explore(space, settings(), kept_in_all)
    front = front_of(space, found.scores, "vectors")
    assert set(front) == {Pair(c) for c, own in everything.items() if is_best(own, 2)}
    fastest = fastest_of(space, front)
    assert set(fastest) == {Pair(c) for c, own in everything.items() if is_best(own, 1)}
    assert len(fastest) < len(front)
    assert found.generations[-1].entries == len(front)
    assert found.generations[-1].hypervolume == pytest.approx(
        hypervolume(list(everything.values()), 12.0), abs=1e-12
    )
    table = table_of(space, found.scores, "vectors", 6)
    assert len(table) == 6
    assert {Pair((1, 1)), Pair((6, 6))} <= set(table) <= set(front)


def test_the_comparison_by_hand() -> None:
    """Groups of 10: a, b cost 32 a + 48 a b + 6 b of 5180, (4, 1) 326, (1, 10) 572; memory (a + b) / 20;
    scores 4, 1 and 10 of 10. Found: from 326 on 0.4 with 0.25 of memory, all with all; (1, 10) costs and
    takes more, for less, and is left out by hand of those that are compared with fewer full steps.
    """
    space = with_memory(toy_space(10, 10), 1, 1)
    found = [Pair((4, 1)), Pair((1, 10)), Pair((10, 10))]

    def by_first(asked: Sequence[Counts]) -> Iterator[Score]:
        for counts in asked:
            yield Score(((float(counts[0]),) * 4,) * 2)

    rng = np.random.default_rng(1)
    fresh = reevaluate(space, found, by_first, rng, [found[0], found[2]])
    low = 326 / 5180
    assert fresh.comparison.found == pytest.approx(0.4 * (1.05 - low) * 0.8 + 0.6 * 0.05 * 0.05, abs=1e-12)
    # Fewer full steps in proportion, with the memory of all: 326 / 5180 and 572 / 5180 of the progress.
    steps = (low * (572 - 326) + 572 / 5180 * (5180 - 572)) / 5180 + 0.05
    assert fresh.comparison.fewer_steps == pytest.approx(0.05 * steps, abs=1e-12)
    assert fresh.thinning is not None
    assert fresh.thinning.best.value == pytest.approx(0.4 - low, abs=1e-12)
    assert fresh.thinning.loses == (), "(1, 10) has 0.1 of the progress for 0.11 of the MACs"


@pytest.mark.slow
def test_a_search_that_trains(tmp_path: Path) -> None:
    """Every entry says the peak of a step of its sub-network on the search's batch; cut short and resumed,
    the search ends the same.
    """
    search, experiment = tiny_search(tmp_path, costs="macs_and_memory", population=4, evaluations=8)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    front, _ = run_search(search, experiment, whole, n_workers=1)
    task = make_objective(search, experiment).task
    assert front.has_memory
    assert [e.memory_bytes for e in front.entries] == [task.peak_bytes(e.counts, 16) for e in front.entries]
    full = task.peak_bytes(task.full, 16)
    for line in (whole / "evaluations.jsonl").read_text().splitlines():
        data = json.loads(line)
        assert data["relative_memory"] == task.peak_bytes(tuple(data["counts"]), 16) / full
    rows = front.made["reevaluation"]["entries"]
    assert [row["relative_memory"] for row in rows] == [e.memory_bytes / full for e in front.entries]
    with pytest.raises(KeyboardInterrupt):
        run_search(search, experiment, cut, n_workers=1, show=Interrupting(5))
    run_search(search, experiment, cut, n_workers=1, resume=True)
    assert result(cut) == result(whole)


@pytest.mark.slow
def test_every_vector_of_a_trained_grid(tmp_path: Path) -> None:
    """A network of two layers of 6 and its 36 trainings: the front that is found has all entries of three
    objectives, and gives back, of a lookup for any memory, the best vector that fits in both.
    """
    search, _ = tiny_search(
        tmp_path,
        costs="macs_and_memory",
        population=8,
        generations=200,
        evaluations=36,
        smallest=0.0,
        snapshots=[0],
        steps=5,
    )
    experiment = parse_experiment({**TOY, "model": {"name": "search.two_layers.TwoLayers"}}, source="toy")
    objective = make_objective(search, experiment)
    space = objective.space
    everything = {c: objective.score(c, "search") for c in itertools.product(range(1, 7), repeat=2)}
    points = {c: space.point(Pair(c), score.mean) for c, score in everything.items()}

    def evaluate(asked: Sequence[Counts]) -> list[Score]:
        return [everything[counts] for counts in asked]

    found = front_of(space, explore(space, search, evaluate).scores, "vectors")
    best = {
        c
        for c, (macs, memory, score) in points.items()
        if not any(m <= macs and b <= memory and s >= score and p != c for p, (m, b, s) in points.items())
    }
    assert {pair.counts for pair in found} == best | {(6, 6)}
    for macs, memory in itertools.product(np.linspace(0.05, 0.99, 7), repeat=2):
        fitting = [p for p in points.values() if p[0] <= macs and p[1] <= memory]
        of_front = [points[q.counts] for q in found if points[q.counts][0] <= macs]
        of_front = [p for p in of_front if p[1] <= memory]
        assert max((p[2] for p in fitting), default=None) == max((p[2] for p in of_front), default=None)


def test_no_memory_no_column(tmp_path: Path) -> None:
    space = toy_space(6, 6)
    assert space.point(Pair((6, 6)), 2.0) == (1.0, 2.0)
    assert (space.told_memory((6, 6)), with_memory(space, 1, 1).told_memory((3, 3))) == (
        {},
        {"relative_memory": 0.5},
    )
    assert "peak_memory_bytes" not in Front((), "m", (), {}).plain()["entries"]
