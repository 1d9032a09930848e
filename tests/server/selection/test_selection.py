"""Who is selected: derived by hand, and what every selection promises."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundled import example
from worlds import played, world

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Facts
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.rngs import Keyed
from distreal_sim.run import run
from distreal_sim.server.selection import Pool, Selection
from distreal_sim.server.selection._records import Records
from distreal_sim.server.selection._walk import draw_by_weight, first
from distreal_sim.server.selection.by_capacity import ByCapacity
from distreal_sim.server.selection.inner_product import InnerProduct
from distreal_sim.server.selection.oort import COLUMNS, Oort
from distreal_sim.server.selection.power_of_choice import PowerOfChoice
from distreal_sim.server.selection.refl import Refl
from distreal_sim.server.selection.round_robin import RoundRobin
from distreal_sim.simulation.callbacks import StopRun
from distreal_sim.simulation.rows import RoundRow


def pool(
    size: int,
    sizes: Sequence[int],
    *,
    number: int = 1,
    away: Sequence[int] = (),
    leave: Sequence[int] = (),
    times_s: Sequence[float] | None = None,
    seed: int = 3,
) -> Pool:
    """away: clients that cannot start; leave: those that cannot next time; times_s: of their work."""
    expected = np.array(times_s if times_s is not None else [1.0] * len(sizes))
    return Pool(
        number,
        size,
        np.array(sizes),
        10.0,
        lambda ids: ~np.isin(ids, list(away)),
        lambda ids: ~np.isin(ids, list(leave)),
        lambda ids: expected[ids],
        Rngs(seed, (number,)),
    )


def facts(client_id: int, loss: float, n_examples: int = 10, sim_s: float = 1.0) -> Facts:
    return Facts(client_id, "completed", n_examples, 1, 1, 7, sim_s, 1.0, 4, 4, loss)


def select(chooser: Selection, found: Pool, memory: Arrays | None = None) -> list[int]:
    return list(chooser.select(found, memory or {})[0])


def test_round_robin() -> None:
    """Five clients, two at a time: 0 1, 2 3, 4 0; with 1 and 2 away 3 4; then 0 1."""
    memory: Arrays = {}
    seen = []
    for away in ((), (), (), (1, 2), ()):
        chosen, memory = RoundRobin().select(pool(2, [1] * 5, away=away), memory)
        seen.append(list(chosen))
    assert seen == [[0, 1], [2, 3], [4, 0], [3, 4], [0, 1]]


def test_round_robin_when_too_few_are_there() -> None:
    chosen, memory = RoundRobin().select(pool(3, [1] * 4, away=(0, 2)), {})
    assert list(chosen) == [1, 3]
    assert RoundRobin().select(pool(1, [1] * 4, away=(0, 1, 2, 3)), memory) == ([], memory)


def test_by_capacity_takes_the_fastest_of_those_asked() -> None:
    """All four are asked: times 4, 1, 3, 2 s, so clients 1 and 3; of equal times the first one asked."""
    assert select(ByCapacity(candidates=2), pool(2, [1] * 4, times_s=[4, 1, 3, 2])) == [1, 3]
    assert select(ByCapacity(candidates=2), pool(2, [1] * 4, times_s=[4, 1, math.inf, 2], away=(1,))) == [
        0,
        3,
    ]


def test_power_of_choice_takes_the_highest_losses() -> None:
    """Losses 1, 5, 3, 2 of four candidates: clients 1 and 2. Nobody knows the loss of client 4."""
    chooser = PowerOfChoice(candidates=2)
    memory = chooser.learn({}, 1, [facts(0, 1.0), facts(1, 5.0), facts(2, 3.0), facts(3, 2.0)])
    assert select(chooser, pool(2, [1] * 4), memory) == [1, 2]
    assert select(PowerOfChoice(candidates=2.5), pool(2, [1] * 5), memory) == [1, 4]
    memory = chooser.learn(memory, 2, [facts(1, 0.5), facts(2, math.nan)])  # a lost update tells nothing
    assert select(chooser, pool(2, [1] * 4), memory) == [2, 3]


def test_pow_d_takes_the_highest_of_the_losses_that_it_hears() -> None:
    """d = all four, losses 1, 5, 3, 2 of the present model: 1 and 2; without client 1's answer 2 and 3."""
    chooser = PowerOfChoice(candidates=2, evaluate="all", wait=0.25)
    asked: list[tuple[list[int], int, float]] = []

    def losses(ids: np.ndarray, n_batches: int, wait_s: float) -> np.ndarray:
        asked.append((sorted(ids.tolist()), n_batches, wait_s))
        return np.array([1.0, 5.0, 3.0, 2.0])[ids]

    def without_1(ids: np.ndarray, n_batches: int, wait_s: float) -> np.ndarray:
        return np.where(ids == 1, -math.inf, losses(ids, n_batches, wait_s))

    assert select(chooser, pool(2, [1] * 4)._replace(losses=losses)) == [1, 2]
    assert select(chooser, pool(2, [1] * 4)._replace(losses=without_1)) == [2, 3]
    batch = chooser.model_copy(update={"evaluate": "batch"})
    assert select(batch, pool(2, [1] * 4)._replace(losses=losses)) == [1, 2]
    assert asked == [([0, 1, 2, 3], 0, 2.5)] * 2 + [([0, 1, 2, 3], 1, 2.5)]


def test_candidates_become_fewer() -> None:
    """8 x 2 candidates, halved every 3 selections: 16, 8, 4, and then the 2 that are selected."""
    chooser = PowerOfChoice(candidates=8, halve_every=3)
    assert [chooser.n_candidates(2, n) for n in (1, 3, 4, 6, 7, 9, 10, 13, 9999)] == [
        *(16, 16, 8, 8, 4, 4, 2, 2, 2),
    ]
    assert PowerOfChoice(candidates=8).n_candidates(2, 9999) == 16
    memory = chooser.learn({}, 1, [facts(c, float(c)) for c in range(16)])
    assert select(chooser, pool(2, [1] * 16), memory) == [14, 15]
    last = [select(chooser, pool(2, [1] * 16, number=10, seed=seed), memory) for seed in range(40)]
    assert len(set(map(tuple, last))) > 20  # a random pair, whatever the losses


def test_inner_products_are_the_probabilities() -> None:
    """Gradients 3, -1 and 0 of equal clients: mean 2/3, products 2, 2/3 and 0, so 3/4, 1/4 and never.

    2,000 draws, 5 standard deviations. Client 3 does not answer.
    """

    def gradients(ids: np.ndarray, wait_s: float) -> list[np.ndarray | None]:
        assert wait_s == 5
        return [[np.array([3.0]), np.array([-1.0]), np.array([0.0]), None][i] for i in ids]

    found = [
        select(InnerProduct(), pool(1, [1] * 4, seed=s)._replace(gradients=gradients)) for s in range(2000)
    ]
    seen = Counter(chosen for (chosen,) in found)
    assert set(seen) == {0, 1}
    assert abs(seen[0] - 1500) <= 5 * math.sqrt(2000 * 0.75 * 0.25)


def test_as_many_candidates_as_places_are_drawn_by_their_examples() -> None:
    """d = m = 1: a client of 3 of 4 examples is drawn in 3 of 4 cases; 2,000 draws, 5 standard deviations."""
    seen = Counter(select(PowerOfChoice(candidates=1), pool(1, [1, 3], seed=s))[0] for s in range(2000))
    assert abs(seen[1] - 1500) <= 5 * math.sqrt(2000 * 0.75 * 0.25)


def test_draws_by_weight() -> None:
    """Weights 1, 0, 2: the first is 2 in 2 of 3 cases; 3,000 draws, 5 standard deviations; 1 never."""
    rng = np.random.default_rng(5)
    drawn = [draw_by_weight(np.array([1.0, 0.0, 2.0]), rng) for _ in range(3000)]
    assert all(sorted(order) == [0, 2] for order in drawn)
    assert abs(sum(order[0] == 2 for order in drawn) - 2000) <= 5 * math.sqrt(3000 * 2 / 9)


def test_first_asks_no_one_twice() -> None:
    asked: list[int] = []

    def there(ids: np.ndarray) -> np.ndarray:
        asked.extend(ids.tolist())
        return ids % 2 == 1

    assert first(range(10), 3, there) == [1, 3, 5]
    assert asked == [0, 1, 2, 3, 4, 5]


def test_oort_explores_at_first_and_less_later() -> None:
    """Share of unheard-of clients 0.9 x 0.98^(n - 1), at least 0.2: of 10 places 1 is for old ones, later 8.

    0.9 x 0.98^74 = 0.2018 and 0.9 x 0.98^75 = 0.1978: the floor is reached in round 76.
    """
    chooser = Oort()
    assert chooser.n_exploited(10, 1) == 1
    assert chooser.n_exploited(10, 200) == 8
    assert chooser.n_exploited(10_000, 75) == 7981
    assert chooser.n_exploited(10_000, 76) == 8000


def test_oort_scores() -> None:
    """Utilities 10, 20 and 40 of 10 examples each, no clip: scaled (u - 9.99) / 30.01.

    Number 50, last report in 10: sqrt(0.1 ln 50 / 10) = 0.1978. With a preferred time of 60 s the third, of
    120 s, counts a quarter.
    """
    chooser = Oort(clip=1)
    told = [facts(0, 1.0, sim_s=30), facts(1, 2.0, sim_s=60), facts(2, 4.0, sim_s=120)]
    memory = chooser.learn({}, 10, told)
    records = Records(memory, COLUMNS)
    scores = chooser.scores(records, [0, 1, 2], 50, math.inf)
    assert scores == pytest.approx([0.01 / 30.01 + 0.19779, 10.01 / 30.01 + 0.19779, 1.19779], abs=1e-5)
    slow = chooser.scores(records, [0, 1, 2], 50, 60.0)
    assert slow[:2].tolist() == scores[:2].tolist()
    assert slow[2] == pytest.approx(scores[2] / 4)


def test_oort_exploits_the_best_and_explores_fast_ones() -> None:
    """Two places of four, half for old ones. 0 to 2 are known, and only 2 is within 0.9 of the best score;
    of the unheard-of 3, 4 and 5 the fastest is 4.
    """
    chooser = Oort(clip=1, exploration=0.5, exploration_decay=1, cutoff=0.9, percentile=100)
    memory = chooser.learn({}, 1, [facts(0, 1.0), facts(1, 2.0), facts(2, 4.0)])
    found = pool(2, [10] * 6, number=2, times_s=[1, 1, 1, 5, 2, 3])
    assert select(chooser, found, memory) == [2, 4]
    everyone = pool(3, [10] * 6, number=2, times_s=[1, 1, 1, 5, 2, 3], away=(3, 4, 5))
    assert select(chooser, everyone, memory) == [0, 1, 2]


def test_oort_draws_down_to_a_share_of_the_best_score() -> None:
    """Scores 0.26, 0.60 and 1.26 in round 2: with a cut-off of 0.4 the second and the third are drawn."""
    chooser = Oort(clip=1, exploration=0, cutoff=0.4, percentile=100)
    memory = chooser.learn({}, 1, [facts(0, 1.0), facts(1, 2.0), facts(2, 4.0)])
    assert chooser.scores(Records(memory, COLUMNS), [0, 1, 2], 2, math.inf) == pytest.approx(
        [0.2636, 0.5968, 1.2633], abs=1e-4
    )
    seen = Counter(select(chooser, pool(1, [10] * 3, number=2, seed=seed), memory)[0] for seed in range(100))
    assert set(seen) == {1, 2}


def test_oorts_pacer() -> None:
    """Windows of two rounds. After a gain of 10 one of 9 to 11, a tenth more or less, raises the percentile
    by 5; one of 6 or 16 leaves it; and so does one of 5.9 after 1, where one of 6, five times 1 more, lowers
    it, though not below the step.
    """
    chooser = Oort(pacer_rounds=2)
    for gained, raised in ((10.9, True), (11, True), (11.1, False), (9, True), (8.9, False), (6, False)):
        assert chooser.paced(30, 4, np.array([4.0, 6.0, 5.0, gained - 5])) == (35 if raised else 30)
    assert chooser.paced(30, 4, np.array([4.0, 6.0, 8.0, 8.0])) == 30
    assert chooser.paced(30, 4, np.array([0.5, 0.5, 3.0, 2.9])) == 30
    assert chooser.paced(30, 4, np.array([0.5, 0.5, 3.0, 3.0])) == 25
    assert chooser.paced(8, 4, np.array([0.5, 0.5, 3.0, 3.0])) == 5
    assert chooser.paced(30, 3, np.array([4.0, 6.0, 5.0, 5.0])) == 30
    assert chooser.paced(98, 4, np.array([1.0, 1.0, 1.0, 1.0])) == 100


def test_refl_takes_those_first_who_leave() -> None:
    """Of six, 1 and 4 will be away next time. They have priority, and then rest for two rounds."""
    chooser = Refl(candidates=3, rest_rounds=2)
    chosen, memory = chooser.select(pool(2, [1] * 6, leave=(1, 4)), {})
    assert list(chosen) == [1, 4]
    for number in (2, 3):
        others, _ = chooser.select(pool(2, [1] * 6, number=number, leave=(1, 4)), memory)
        assert not {1, 4} & set(others)
        assert len(others) == 2
    assert select(chooser, pool(2, [1] * 6, number=4, leave=(1, 4)), memory) == [1, 4]
    wrong, _ = Refl(candidates=3, hit_rate=0).select(pool(2, [1] * 6, leave=(0, 2, 3, 5)), {})
    assert list(wrong) == [1, 4]


@pytest.mark.parametrize("name", names(Selection))
@pytest.mark.parametrize("coordination", ["rounds", "fedbuff"])
def test_every_selection_plays(name: str, coordination: str) -> None:
    """Six clients, some of them away in some rounds: distinct ones that can start, the same when repeated."""
    if coordination == "fedbuff" and load(Selection, name)(**example(Selection, name)).asks:
        pytest.skip("needs rounds")
    options = {"name": coordination, **({"buffer": 2} if coordination == "fedbuff" else {})}
    experiment = world(
        [1, 2, 4, 1.5, 3, 5],
        options,
        rounds=8,
        clients_per_round=2,
        selection={"name": name, **example(Selection, name)},
        availability={"name": "random", "share": 0.8},
    )
    one, again = played(experiment, trained=True), played(experiment, trained=True)
    assert one.model == again.model
    chosen = [(row.round, row.client_id) for row in one.clients]
    assert chosen == [(row.round, row.client_id) for row in again.clients]
    if coordination == "rounds":
        assert len(set(chosen)) == len(chosen)
        assert all(row.n_selected <= 2 for row in one.rounds)


class Later(Profile):
    """A level for each client, by its number, until `at_s`, and then another one."""

    of: tuple[float, ...]
    then: tuple[float, ...]
    at_s: float

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Turning(self.of[client_id], self.then[client_id], self.at_s)


class Turning(Timeline):
    def __init__(self, level: float, then: float, at_s: float) -> None:
        self.level, self.then, self.at_s = level, then, at_s

    def piece(self, t_s: float) -> tuple[float, float]:
        return (self.level, self.at_s) if t_s < self.at_s else (self.then, math.inf)


@pytest.mark.parametrize("name", names(Selection))
def test_nobody_knows_the_capacity_to_come(name: str) -> None:
    """Two worlds that differ from 24 s on, where the fourth round begins: the first three are the same."""
    levels = (8.0, 4.0, 2.0, 5.0, 3.0, 1.5)
    chosen = [
        [
            (row.round, row.client_id, row.sim_s, row.macs)
            for row in played(
                world(
                    [1] * 6,
                    {"name": "rounds"},
                    rounds=4,
                    clients_per_round=1,
                    selection={"name": name, **example(Selection, name)},
                    profile=Later(of=levels, then=then, at_s=24.0),
                )
            ).clients
        ]
        for then in (levels, tuple(level / 9 for level in levels))
    ]
    one, other = ([row for row in rows if row[0] < 4] for rows in chosen)
    assert one == other
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize("name", names(Selection))
def test_the_memory_is_arrays_and_nobody_is_there(name: str) -> None:
    """A checkpoint can hold it; without a client that can start nobody is chosen."""
    chooser: Any = load(Selection, name)(**example(Selection, name))
    memory: Arrays = {}
    for number in (1, 2, 3):
        chosen, memory = chooser.select(pool(2, [5] * 6, number=number), memory)
        memory = chooser.learn(memory, number, [facts(c, 1.0 + c) for c in chosen])
    assert all(isinstance(array, np.ndarray) for array in memory.values())
    assert bool(memory) == chooser.remembers
    assert list(chooser.select(pool(2, [5] * 6, number=4, away=range(6)), memory)[0]) == []


@pytest.mark.parametrize("name", ["oort", "round_robin"])
def test_a_resumed_run_selects_the_same(name: str, tmp_path: Path) -> None:
    """The memory of the selection is in the checkpoint."""
    experiment = world([1, 2, 4, 1.5, 3], {"name": "rounds"}, rounds=6, clients_per_round=2, selection=name)

    def stop(row: RoundRow) -> None:
        if row.round == 3:
            raise StopRun("enough")

    whole = run(experiment, tmp_path / "whole", grid="serial")
    run(experiment, tmp_path / "part", grid="serial", callbacks=[stop])
    part = run(experiment, tmp_path / "part", grid="serial", resume=True)
    assert whole.clients.equals(part.clients)
    assert whole.rounds.equals(part.rounds)


@pytest.mark.parametrize("name", ["by_capacity", "round_robin"])
def test_many_rounds_at_once_select_the_same(name: str, tmp_path: Path) -> None:
    """The clock alone times rounds together where it can; the clients are those of rounds one by one."""
    changes = {
        "profile": {"name": "markov", "levels": [0.2, 1, 3], "changes_per_round": 2},
        "selection": name,
    }
    experiment = world([1] * 6, {"name": "rounds"}, rounds=7, clients_per_round=2, **changes)
    timed = run(experiment, tmp_path / "timed", training=False)
    chosen = [(row.round, row.client_id, row.macs) for row in played(experiment).clients]
    columns = ["round", "client_id", "macs"]
    assert list(timed.clients[columns].itertuples(index=False, name=None)) == chosen


class Wrong(Selection):
    """Chooses what it is told."""

    chosen: tuple[int, ...] = ()

    def select(self, pool: Pool, memory: Arrays) -> tuple[Sequence[int], Arrays]:
        return self.chosen, memory


@pytest.mark.parametrize(
    ("chosen", "why"), [((0, 1, 2), "at most 2"), ((1, 1), "at most 2"), ((7,), "can start")]
)
def test_a_wrong_selection_is_refused(chosen: tuple[int, ...], why: str) -> None:
    experiment = world([1, 2, 3], {"name": "rounds"}, clients_per_round=2)
    experiment = experiment.model_copy(update={"selection": Wrong(chosen=chosen)})
    with pytest.raises(InputError, match=why):
        played(experiment)
