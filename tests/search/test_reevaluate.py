"""The comparison with uniform rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from distreal_sim.search.reevaluate import reevaluate
from distreal_sim.search.score import Score
from distreal_sim.search.space import Pair
from distreal_sim.thinning.structure import Counts

from .toy_search import toy_space

FOUND = [Pair((1, 1)), Pair((4, 1)), Pair((10, 10))]


def by_first_group(asked: Sequence[Counts]) -> Iterator[Score]:
    """kept channels of the first group, whatever the seed."""
    for counts in asked:
        yield Score(((float(counts[0]),) * 4,) * 2)


def test_by_hand() -> None:
    """a of 10 and b of 10 cost 32 a + 48 a b + 6 b: full 5180; (1, 1) 86, (4, 1) 326, (6, 6) 1956.

    Found, scores 0.1, 0.4, 1: 0.1 * (326 - 86) / 5180 + 0.4 * (5180 - 326) / 5180 + 0.05. Uniform, the rates
    0, 0.45, 0.9 (5.5 channels are rounded up to 6), scores 1, 0.6, 0.1. Without noise intervals are points.
    """
    space = toy_space(10, 10)
    fresh = reevaluate(space, FOUND, by_first_group, np.random.default_rng(1))
    found = (0.1 * 240 + 0.4 * 4854) / 5180 + 0.05
    uniform = (0.1 * (1956 - 86) + 0.6 * (5180 - 1956)) / 5180 + 0.05
    c = fresh.comparison
    assert [pair.counts for pair in fresh.uniform] == [(10, 10), (6, 6), (1, 1)]
    assert (c.n_found, c.n_uniform) == (3, 3)
    assert (c.found, c.uniform, c.gain) == pytest.approx((found, uniform, found / uniform - 1), abs=1e-12)
    assert c.found_interval == pytest.approx((found, found), abs=1e-12)
    assert c.gain_interval == pytest.approx((c.gain, c.gain), abs=1e-12)


@pytest.mark.slow
def test_the_interval_covers() -> None:
    """Noise of the seeds, known: the 95 % interval of the gain holds the true one in about 19 of 20 draws.

    15 is the least allowed.
    """
    space = toy_space(10, 10)
    true = reevaluate(space, FOUND, by_first_group, np.random.default_rng(1)).comparison.gain
    covered = 0
    for draw in range(20):
        rng = np.random.default_rng(draw)

        def noisy(asked: Sequence[Counts], rng: np.random.Generator = rng) -> Iterator[Score]:
            for score in by_first_group(asked):
                noise = rng.normal(0, 0.5, (2, 12))
                yield Score(tuple(tuple(score.mean + row) for row in noise))

        low, high = reevaluate(space, FOUND, noisy, rng).comparison.gain_interval
        covered += low <= true <= high
    assert covered >= 15


def curved(asked: Sequence[Counts]) -> Iterator[Score]:
    """As `by_first_group`; half of the steps have 0.9 of the progress of all."""
    for score in by_first_group(asked):
        (half, *_), *_ = score.drops
        yield Score(score.drops, ((0.5, Score(((0.9 * half,) * 4,) * 2)),))


def test_fewer_steps_by_hand() -> None:
    """Fewer full steps have 1.8 x of the progress at x <= 0.5, so 1.8 * 86 / 5180 and 1.8 * 326 / 5180 at the
    costs of the found entries, which lie above. Uniform rates are better from 1956 / 5180 on (0.6), fewer
    steps before: 1.8 * 326 / 5180 = 0.113 against 0.1.
    """
    fresh = reevaluate(toy_space(10, 10), FOUND, curved, np.random.default_rng(1))
    c, low, high = fresh.comparison, 1.8 * 86 / 5180, 1.8 * 326 / 5180
    steps = (low * 240 + high * 4854) / 5180 + 0.05
    better = (0.1 * 240 + high * (1956 - 326) + 0.6 * (5180 - 1956)) / 5180 + 0.05
    assert (c.fewer_steps, c.better) == pytest.approx((steps, better), abs=1e-12)
    assert c.gain_over_better == pytest.approx(c.found / better - 1, abs=1e-12)
    assert c.better_interval == pytest.approx((better, better), abs=1e-12)
    assert [pair.share for pair in fresh.fewer_steps] == [0.5, 1.0]


def test_where_it_pays_by_hand() -> None:
    """The front: (86, 0.1), (326, 0.4), (5180, 1), costs of 5180. It meets 1.8 x where
    0.4 + 0.6 (x - 0.06293) / 0.93707 = 1.8 x, so 0.35970 = 1.15970 x, at x = 0.3102. From there on it lies
    below, by most at 0.5. From each of two equal snapshots it is the same.
    """
    fresh = reevaluate(toy_space(10, 10), FOUND, curved, np.random.default_rng(1))
    assert fresh.thinning is not None
    assert fresh.thinning.pays == ((86 / 5180, 0.31),)
    assert fresh.thinning.loses == ((0.311, 0.999),)
    assert fresh.thinning.best.relative_macs == 326 / 5180
    assert fresh.thinning.best.value == pytest.approx(0.4 - 1.8 * 326 / 5180)
    assert fresh.thinning.worst.relative_macs == 0.5
    assert fresh.by_snapshot == (fresh.thinning, fresh.thinning)


def test_sure_entries() -> None:
    """Entries of 0.02 and 0.06 of the MACs lie above 1.8 x, and that of 0.41, (5, 8), with 0.5, below. With
    much noise of the seeds the second is not sure.
    """
    found = [Pair((1, 1)), Pair((4, 1)), Pair((5, 8)), Pair((10, 10))]
    fresh = reevaluate(toy_space(10, 10), found, curved, np.random.default_rng(1))
    assert fresh.sure == {Pair((1, 1)), Pair((4, 1))}

    def noisy(asked: Sequence[Counts]) -> Iterator[Score]:
        for counts, score in zip(asked, curved(asked), strict=True):
            noise = np.array([-30, 30, -30, 30]) if counts == (4, 1) else np.zeros(4)
            yield Score(tuple(tuple(own + noise) for own in np.array(score.drops)), score.fewer)

    unsure = reevaluate(toy_space(10, 10), found, noisy, np.random.default_rng(1))
    assert unsure.found[Pair((4, 1))].mean == fresh.found[Pair((4, 1))].mean
    assert unsure.sure == {Pair((1, 1))}


def test_between_entries_of_the_full_network_fewer_steps_count() -> None:
    """Full steps have 1.8 x of the progress until x = 0.5, then 0.8 + 0.2 x, though half of them is no entry.
    The volume is that of a staircase: 0.225 from an eighth to 0.13, and then stairs of a hundredth, which sum
    up to 1.8 (13 + ... + 50) + 49 * 80 + 0.2 (51 + ... + 99) ten-thousandths. Where the entry before is a
    thinned one, with 0.4, they do not count.
    """
    found = [Pair((10, 10), 0.125), Pair((10, 10))]
    c = reevaluate(toy_space(10, 10), found, curved, np.random.default_rng(1)).comparison
    stairs = 0.225 * 0.005 + (1.8 * 1197 + 49 * 80 + 0.2 * 3675) / 10_000 + 0.05
    assert c.found == pytest.approx(stairs, abs=1e-12)
    assert c.fewer_steps == pytest.approx(c.found, abs=1e-12)
    thinned = [Pair((4, 1)), Pair((10, 10))]
    c = reevaluate(toy_space(10, 10), thinned, curved, np.random.default_rng(1)).comparison
    assert c.found == pytest.approx(0.4 * (1 - 326 / 5180) + 0.05, abs=1e-12)


def test_entries_for_fewer_steps() -> None:
    """An entry for half of the steps has the fresh score after half of them, and half of the cost. From the
    half of the full network on there is a stair at every hundredth: 50 * 80 + 0.2 (50 + ... + 99)
    ten-thousandths.
    """
    found = [Pair((4, 1), 0.5), Pair((10, 10), 0.5), Pair((10, 10))]
    fresh = reevaluate(toy_space(10, 10), found, curved, np.random.default_rng(1))
    assert [score.mean for score in fresh.found.values()] == pytest.approx([3.6, 9.0, 10.0])
    area = 0.36 * (2590 - 163) / 5180 + (50 * 80 + 0.2 * 3725) / 10_000 + 0.05
    assert fresh.comparison.found == pytest.approx(area, abs=1e-12)
