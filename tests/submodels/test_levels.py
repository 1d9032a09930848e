"""Levels: one for all, the largest that fits a round, or another one in every step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from choices import from_front
from rounds import ROUND
from toys import toy

from distreal_sim.client.client import Client
from distreal_sim.client.schedule import Moment
from distreal_sim.client.traffic import Traffic
from distreal_sim.config.build import build
from distreal_sim.devices.links.constant import Constant as Link
from distreal_sim.devices.memory.constant import Constant as Bytes
from distreal_sim.devices.profiles.constant import Constant as Steady
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.submodels.levels import (
    Always,
    Level,
    PerRound,
    PerStep,
    largest_that_fits,
    whole_network,
    width_level,
    within_memory,
)


def test_every_pick_fits_what_the_client_knows() -> None:
    """100 MAC/s, 6 s left, 60 examples left: 10 MACs an example; 9 fits, 11 does not."""
    entries = tuple(Entry((), (k,), macs, macs / 20) for k, macs in enumerate((3, 9, 11, 20)))
    front = Front(entries, "", (), {})
    choose = from_front(front)
    assert choose(Moment(4.0, 10.0, 100.0, [32, 28])).counts == (1,)
    assert choose(Moment(4.0, 10.0, 110.0, [32, 28])).counts == (2,), "11 x 60 = 110 x 6 just fits"
    assert choose(Moment(4.0, 10.0, 0.0, [32, 28])).counts == (0,), "nothing fits: the cheapest"
    assert choose(Moment(4.0, 10.0, math.inf, [32, 28])).counts == (3,)


def level(macs: int, charged: int | None = None, upload_bytes: int = 0) -> Level:
    return Level((), macs, Traffic(0, upload_bytes), charged_macs=charged)


def client(macs_per_s: float = 1000.0, upload_bytes_per_s: float = math.inf) -> Client:
    """Of 10 examples, 5 steps of 2, and 10 s: at 1,000 MAC/s 1,000 MACs an example just fit."""
    task = build(toy(method={"name": "fedavg"}, local={"steps": 5, "batch_size": 2, "lr": 0.1}))
    link = Link(download_bytes_per_s=math.inf, upload_bytes_per_s=upload_bytes_per_s)
    devices = replace(task.devices, links=link, profile=Steady(level=1.0), macs_per_s=macs_per_s)
    return Client(replace(task, devices=devices), 0, ROUND)


@pytest.mark.parametrize(
    ("levels", "index"),
    [
        ([level(1000)], 0),
        ([level(1001)], None),
        ([], None),
        ([level(1001), level(999), level(1000), level(5)], 2),
        ([level(1001), level(900), level(900)], 1),  # equal MACs: the first
        ([level(5), level(1000), level(1000), level(1000)], 1),
        ([level(900, charged=1001), level(800, charged=1000)], 1),  # what is charged must fit
        ([level(900), level(5000, charged=1000)], 1),  # the most MACs, whatever is charged
    ],
)
def test_the_largest_that_fits(levels: list[Level], index: int | None) -> None:
    assert largest_that_fits(client(), levels) == index
    chosen = None if index is None else levels[index]
    assert PerRound(tuple(levels)).at_start(client()) is chosen


def test_the_upload_takes_its_time() -> None:
    """1,000 bytes at 1,000 bytes/s leave 9 of 10 s: 900 MACs an example."""
    slow = client(upload_bytes_per_s=1000.0)
    levels = [level(900, upload_bytes=1000), level(901, upload_bytes=1000), level(950, upload_bytes=500)]
    assert largest_that_fits(slow, levels) == 2
    assert largest_that_fits(slow, levels[:2]) == 0
    assert largest_that_fits(slow, levels[1:2]) is None


def test_nobody_fits_a_client_that_stands_still() -> None:
    """It skips a round whose level is fixed; with one level for all, or one a step, it begins."""
    still, one, two = client(macs_per_s=0.0), level(1), level(2)
    assert PerRound((one, two)).at_start(still) is None
    assert Always(two).at_start(still) is two
    assert PerStep((one, two)).at_start(still) is one


def test_only_levels_of_a_step_follow_the_moment() -> None:
    """Enough for the larger one, in a round that began with the smaller one."""
    one, two = level(1), level(2)
    rich = Moment(0.0, 10.0, math.inf, [1])
    assert PerRound((one, two)).now(rich, one) is one
    assert Always(one).now(rich, one) is one
    assert PerStep((one, two)).now(rich, one) is two
    assert (Always(two).levels, PerRound((one, two)).levels) == ((two,), (one, two))


@pytest.mark.parametrize(
    ("macs_per_s", "t_s", "index"),
    [
        (100.0, 0.0, 1),  # 100 MAC/s * 10 s / 10 examples = 100 MACs
        (99.9, 0.0, 0),
        (101.0, 0.0, 2),
        (100.9, 0.0, 1),
        (200.0, 5.0, 1),
        (202.0, 5.0, 2),
        (50.0, 0.0, 0),
        (4.0, 0.0, 0),  # not even the cheapest fits
        (0.0, 0.0, 0),
        (1e9, 10.0, 0),  # no time left
        (1e9, 11.0, 0),
        (math.inf, 9.9, 2),
    ],
)
@pytest.mark.parametrize("charged", [False, True])
def test_the_level_of_a_step(charged: bool, macs_per_s: float, t_s: float, index: int) -> None:
    """Charged 50, 100 and 101 MACs per example, of which three times as many are computed or just these."""
    costs = (50, 100, 101)
    levels = tuple(level(3 * n, charged=n) if charged else level(n) for n in costs)
    moment = Moment(t_s, 10.0, macs_per_s, [6, 4])
    assert PerStep(levels).now(moment, levels[0]) is levels[index]


def test_costs_of_networks_by_hand() -> None:
    """small_cnn of width 4 on 8x8. Half its channels, 2, 4 and 8: layers of 9*2*64 = 9*8*16 = 9*32*4 = 1152
    MACs and 80, so 2 * 1152 + 3 * (1152 + 1152 + 80); 18 + 72 + 288 weights, 28 of batch norm and 90 of the
    classifier. All of them: 2 * 2304 + 3 * (4608 + 4608 + 160), and 1,702 parameters (36 + 288 + 1152, 56,
    170). Four bytes each, both ways.
    """
    task = build(toy())
    half = width_level(task, (2, 4, 8))
    assert (half.counts, half.macs_per_example, half.charge) == ((2, 4, 8), 9456, 9456)
    assert half.traffic == Traffic(4 * 496, 4 * 496)
    whole = whole_network(task).level
    assert (whole.counts, whole.macs_per_example) == ((4, 8, 16), 32736)
    assert whole.traffic == Traffic(4 * 1702, 4 * 1702)
    assert (half.trained, whole.trained) == (None, None)


def test_preferred_levels_replace_others_of_no_lower_charge() -> None:
    """By growing charge: ranks 1, 0, 3, 2, 4. The second and the fourth cost no less than a preferred one. Of
    equal charges or ranks the later one is preferred, as in a table whose scores grow.
    """
    ranked = tuple(replace(level(macs), rank=rank) for macs, rank in ((2, 1), (5, 0), (5, 3), (6, 2), (9, 4)))
    levels = PerStep(ranked)
    assert levels.worth_choosing == (ranked[0], ranked[2], ranked[4])
    picks = [levels.now(Moment(0.0, 1.0, budget, [1]), ranked[0]) for budget in (1, 4, 5, 8, 9)]
    assert [ranked.index(pick) for pick in picks] == [0, 0, 2, 2, 4]
    plain = (level(2), level(5), level(9))
    assert PerStep(plain).worth_choosing == plain
    measured = (level(2, charged=5), level(5, charged=5), level(9, charged=7))
    assert PerStep(measured).worth_choosing == measured[1:]


def test_a_level_for_fewer_steps_is_kept_until_they_are_done() -> None:
    """10 examples of 20 MACs each are 200: enough for 40 MACs with half of them. After two of these five 120
    are enough for the other three, after all five none are needed. With 119 there it is not, and all eight
    left at 10 MACs take 80. A budget of 320 then is enough for all eight at 40. The steps so far took 40 MACs
    an example.
    """
    thin, half, full = level(10), replace(level(40), share=0.5), level(40)
    levels = PerStep((thin, half, full))
    assert levels.worth_choosing == (thin, half, full)

    def pick(budget_macs: float, n_done: int) -> Level:
        return levels.now(Moment(0.0, 1.0, budget_macs, [10 - n_done], 0, n_done, 40 * n_done), thin)

    assert [pick(*at) for at in ((200, 0), (199, 0), (120, 2), (119, 2), (320, 2))] == [
        half,
        thin,
        half,
        thin,
        full,
    ]
    assert [pick(*at) for at in ((40, 4), (39, 4), (0, 5), (49, 5), (200, 5), (0, 8))] == [
        half,
        thin,
        half,
        half,
        full,
        half,
    ]


@pytest.mark.parametrize(("macs_per_planned", "index", "n_steps"), [(10, 0, 100), (34, 1, 34)])
def test_at_constant_capacity_a_client_keeps_to_a_level(
    macs_per_planned: int, index: int, n_steps: int
) -> None:
    """100 examples at 10 MACs each, a third of them at 100, or all at 100: with 10 MACs for each planned one
    all are trained at 10, with 34 as many at 100 as there is time for.
    """
    levels = (level(10), replace(level(100), share=1 / 3), level(100))
    total, charged, found = 100 * macs_per_planned, 0, list[Level]()
    for n_done in range(100):
        moment = Moment(0.0, 1.0, total - charged, [100 - n_done], 0, n_done, charged)
        chosen = PerStep(levels).now(moment, levels[0])
        if charged + chosen.charge > total:
            break
        charged += chosen.charge
        found.append(chosen)
    assert found == [levels[index]] * n_steps


def test_a_level_for_fewer_steps_is_worth_choosing_when_they_are_done() -> None:
    """Half of the examples at 40 MACs are 20 for each planned one; all at 15 are 15, and are preferred. After
    half of the ten examples, at 40, the first needs nothing, the second 75.
    """
    half, all_steps = replace(level(40), share=0.5), replace(level(15), rank=1)
    levels = PerStep((half, all_steps))
    assert levels.worth_choosing == (all_steps, half)
    picks = [levels.now(Moment(0.0, 1.0, budget, [5], 0, 5, 200), half) for budget in (74, 75)]
    assert picks == [half, all_steps]


@pytest.mark.parametrize(
    ("limit", "fitting"), [("all", [0, 1, 3]), ("large", [0, 1]), ("slim", [0, 2]), ("small", [0])]
)
def test_what_fits_in_memory_and_then_the_best_of_it(limit: str, fitting: list[int]) -> None:
    """Four levels, charged 10, 20, 30 and 40, each part of the whole network; `slim` is part of `large`, and
    so takes less memory, but costs more and is less preferred: it is there for clients without memory for
    `large` alone.
    """
    own = client()
    named = {"small": (1, 2, 4), "large": (4, 4, 8), "slim": (2, 4, 8), "all": own.task.full}
    sizes = {name: own.task.peak_bytes(counts, 2) for name, counts in named.items()}
    assert sizes["small"] < sizes["slim"] < sizes["large"] < sizes["all"]
    levels = tuple(
        replace(level(macs), counts=counts, rank=rank)
        for counts, macs, rank in zip(named.values(), (10, 20, 30, 40), (0, 2, 1, 3), strict=True)
    )
    memory = Bytes(size_bytes=sizes[limit])
    limited = replace(own.task, devices=replace(own.task.devices, memory=memory))
    found = within_memory(replace(own, task=limited), PerStep(levels))
    assert isinstance(found, PerStep)
    assert found.worth_choosing == tuple(levels[i] for i in fitting)
