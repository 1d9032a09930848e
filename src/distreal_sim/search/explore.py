"""The search itself: generations of candidates, until a limit; whoever scores them, and wherever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.search.nsga2 import Nsga2
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.score import Score
from distreal_sim.search.screen import screen
from distreal_sim.search.settings import Over, Search
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.table import front_of
from distreal_sim.thinning.structure import Counts

Evaluate = Callable[[Sequence[Counts]], Iterable[Score]]
"""The scores of candidates, in their order."""

SPREAD = 0.25
"""How far from a uniform vector the random ones of the first generation lie at most, relative to d_max."""


@dataclass(frozen=True)
class Generation:
    """The state after a generation: candidates tried, entries of the front, hypervolume."""

    generation: int
    evaluations: int
    entries: int
    hypervolume: float


@dataclass(frozen=True)
class Exploration:
    """scores: every candidate tried, in the order of trying; stopped: the limit that ended the search."""

    scores: dict[Counts, Score]
    generations: tuple[Generation, ...]
    stopped: str


def explore(
    space: Space,
    search: Search,
    evaluate: Evaluate,
    on_generation: Callable[[Generation], None] = lambda row: None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Exploration:
    """Searches until a limit of `search` is reached, or no new vector is found.

    The course is a function of the settings and the scores; a search that is played again from its start
    against stored scores therefore continues where it was interrupted. out_of_time: asked after each
    generation.
    """
    rngs = Rngs(search.seed)
    optimiser = Nsga2(
        first_generation(space, search.population, rngs("first generation")),
        space.d_max,
        search.population,
        search.population * search.screening,
        1 if space.peak_bytes is None else 2,
        space.snap,
        rngs("nsga2"),
    )
    scores: dict[Counts, Score] = {}
    rows: list[Generation] = []
    for number in range(1, search.generations + 1):
        rates = optimiser.ask()
        if rates is None:
            return Exploration(scores, tuple(rows), "no new vectors")
        asked = [space.counts(vector) for vector in rates]
        new = [c for c in dict.fromkeys(asked) if c not in scores and space.allows(c)]
        chosen = screen(space, scores, new, search.population) if search.screening > 1 else new
        left_out = set(new) - set(chosen)
        room = search.evaluations - len(scores)
        for counts, score in zip(chosen[:room], evaluate(chosen[:room]), strict=True):
            scores[counts] = score
        rows.append(_row(space, number, scores, search.over))
        on_generation(rows[-1])
        if len(scores) >= search.evaluations:
            return Exploration(scores, tuple(rows), "evaluations")
        if _stalled(rows, search.stall):
            return Exploration(scores, tuple(rows), "stall")
        if out_of_time():
            return Exploration(scores, tuple(rows), "wall_s")
        tried = [i for i, counts in enumerate(asked) if counts not in left_out]
        asked = [asked[i] for i in tried]
        # A candidate that is too small is never trained; the constraint alone ranks it.
        values = [scores[counts].mean if counts in scores else 0.0 for counts in asked]
        points = np.array([space.point(Pair(c), value) for c, value in zip(asked, values, strict=True)])
        optimiser.tell(tried, points, space.smallest - points[:, 0])
    return Exploration(scores, tuple(rows), "generations")


def first_generation(space: Space, population: int, rng: np.random.Generator) -> np.ndarray:
    """(M, L) distinct vectors, M <= population: half uniform, the zero vector first, half around those.

    In a residual network half of the second half, at most, thins the inner filters only.
    """
    uniform = space.uniform(-(-population // 2))
    found = dict.fromkeys([*uniform, *space.inner(population // 4)][:population])
    tries = 0
    while len(found) < population and tries < 20 * population:
        tries += 1
        base = space.rates(uniform[int(rng.integers(len(uniform)))])
        shift = space.d_max * SPREAD * rng.uniform(-1.0, 1.0, len(base))
        counts = space.counts(np.clip(base + shift, 0.0, space.d_max))
        if space.allows(counts):
            found.setdefault(counts)
    return np.array([space.rates(counts) for counts in found])


def _row(space: Space, number: int, scores: dict[Counts, Score], over: Over) -> Generation:
    zero = scores[space.structure.full_counts()].mean
    if zero <= 0:
        raise InputError(
            f"short trainings of the full network change the validation loss by {-zero:+.3g}, which is no "
            "progress to compare with; take more steps, another lr, or earlier snapshots"
        )
    front = front_of(space, scores, over)
    points = [space.point(pair, score.mean) for pair, score in front.items()]
    return Generation(number, len(scores), len(front), hypervolume(points, zero))


def _stalled(rows: Sequence[Generation], stall: int | None) -> bool:
    return stall is not None and len(rows) > stall and rows[-1].hypervolume <= rows[-1 - stall].hypervolume
