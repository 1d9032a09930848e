"""The device catalogue, fleets of it, and numbers that say how unequal a fleet is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import given

from distreal_sim.base.errors import InputError
from distreal_sim.devices.catalogue import Fact, catalogue, device
from distreal_sim.devices.heterogeneity import rounds_in_time, spread_of, time_of_trips
from distreal_sim.devices.profiles.dpgmm import Dpgmm, nearest
from distreal_sim.devices.profiles.fleet import Fleet


@pytest.mark.parametrize("name", catalogue())
def test_a_device(name: str) -> None:
    """Every value has a public source; speeds, memory and power are of the magnitude of what they are of: a
    board or a phone makes 0.1 to 10,000 GMAC/s, holds 0.25 to 64 GiB and takes 1 to 100 W.
    """
    own = device(name)
    assert 1e8 <= own.macs_per_s.value <= 1e13
    for fact, low, high in [
        (own.memory_bytes, 2**28, 2**36),
        (own.memory_bytes_per_s, 1e9, 1e12),
        (own.power_w, 1, 100),
    ]:
        assert fact is None or low <= fact.value <= high
    for _, fact in own:
        if isinstance(fact, Fact):
            assert fact.source.startswith("https://")
            assert fact.note or fact.sure != "derived"


def test_derivations() -> None:
    """Raspberry Pi 5: 35.169 Gflop/s of HPL are 17.58 GMAC/s. Jetson Nano: 128 cores at 921 MHz are 117.9.
    Snapdragon 865: 8 x (2.84 + 3 x 2.42) = 80.8 GMAC/s, and 8 bytes x 5500 MT/s = 44 GB/s.
    """
    assert device("raspberry_pi_5_8gb").macs_per_s.value == pytest.approx(17.58e9, rel=1e-3)
    assert device("jetson_nano").macs_per_s.value == pytest.approx(117.9e9, rel=1e-3)
    phone = device("snapdragon_865")
    assert phone.macs_per_s.value == pytest.approx(80.8e9)
    assert phone.memory_bytes_per_s is not None
    assert phone.memory_bytes_per_s.value == pytest.approx(44e9)


def test_a_fleet() -> None:
    """Weights 3 and 1: the numbers below 0.75 are the first device, of 5.9445 GMAC/s, the others the second,
    of 17.5845; half of that with efficiency 0.5; relative to the mean, (3 x 5.9445 + 17.5845) / 4 = 8.8545,
    they are 0.671 and 1.986.
    """
    devices = {"raspberry_pi_4b": 3, "raspberry_pi_5_8gb": 1}

    def levels(**options: Any) -> list[float]:
        fleet = Fleet(devices=devices, **options)
        lines = [fleet.timeline(0, given(device=[u]), 1.0) for u in (0.0, 0.7499, 0.75, 0.999)]
        return [float(line.piece(0.0)[0]) for line in lines]

    slow, fast = 5.944e9, 17.58e9
    assert levels() == pytest.approx([slow, slow, fast, fast], rel=1e-3)
    assert levels(efficiency=0.5) == pytest.approx([slow / 2, slow / 2, fast / 2, fast / 2], rel=1e-3)
    assert levels(unit="relative") == pytest.approx([0.671, 0.671, 1.986, 1.986], rel=1e-3)
    assert Fleet(devices=devices).lower_bound() == pytest.approx(slow, rel=1e-3)
    assert (
        Fleet(devices=devices)
        .notes()[0]
        .startswith("75 % Raspberry Pi 4 B, 4 GB: 5.94 GMAC/s (measured: http")
    )


def test_devices_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    fact = "{value: 2.0e9, source: https://example.org, sure: measured}"
    path.write_text(f"title: mine\nkind: phone\nmacs_per_s: {fact}\n")
    fleet = Fleet(devices={"mine": 1}, files=(path,))
    assert fleet.timeline(0, given(device=[0.3]), 1.0).piece(0.0) == (2e9, math.inf)
    with pytest.raises(InputError, match=r"unknown device 'raspberry_pi_5'; did you mean 'raspberry_pi_"):
        Fleet(devices={"raspberry_pi_5": 1}).lower_bound()
    path.write_text(
        "title: mine\nkind: phone\nmacs_per_s: {value: -1, source: https://x.org, sure: measured}\n"
    )
    with pytest.raises(InputError, match=r"mine.yaml: macs_per_s.value: Input should be greater than 0"):
        Fleet(devices={"mine": 1}, files=(path,)).lower_bound()
    with pytest.raises(ValueError, match="has no use here"):
        Fleet(devices={"mine": 1}, level_1_macs_per_s=3)


def test_nearest() -> None:
    """Wanted 5, 5 and 9 of 1, 4, 7, 8: 4, then 7 (the next one free, 2 away from 5 as against 3 of 8 and 4 of
    1), then 8.
    """
    assert nearest(np.array([1.0, 4, 7, 8]), np.array([5.0, 5, 9])).tolist() == [4, 7, 8]


def test_dpgmm(tmp_path: Path) -> None:
    """sigma 0 takes the three speeds nearest to the mean of 1 ... 9, which is 5: 5, 4 and 6. Weights of a
    Dirichlet(1000, ...) are a third each, with a standard deviation of 0.009. The spread grows with sigma;
    with one kind all are equal.
    """
    path = tmp_path / "speeds.csv"
    path.write_text("client,level\n" + "".join(f"d{v},{v}\n" for v in range(1, 10)))
    levels, ends = Dpgmm(mean=1, sigma=0, kinds=3, file=path)._kinds()
    assert sorted(levels) == pytest.approx([0.8, 1.0, 1.2])
    assert ends == pytest.approx([1 / 3, 2 / 3, 1], abs=0.05)
    spreads = []
    for sigma in (0.0, 0.5, 1.5):
        draws = [Dpgmm(mean=1, sigma=sigma, kinds=3, draw=i, file=path)._kinds()[0].std() for i in range(40)]
        spreads.append(np.mean(draws))
    assert spreads[0] < spreads[1] < spreads[2]
    line = Dpgmm(mean=1, sigma=0, kinds=1, file=path).timeline(0, given(kind=[0.9]), 1.0)
    assert line.piece(0.0) == (1.0, math.inf)
    with pytest.raises(ValueError, match=r"kinds \(10\) must be at most 9"):
        Dpgmm(kinds=10, file=path).lower_bound()
    with pytest.raises(ValueError, match=r"kinds \(1000\) must be at most"):
        Dpgmm(kinds=1000)


def test_spread() -> None:
    """Speeds 1, 2 and 3: mean 2, standard deviation sqrt(2/3); the 10th and 90th percentiles are 1.2, 2.8."""
    found = spread_of(np.array([1.0, 2, 3]))
    assert found == pytest.approx((2, math.sqrt(2 / 3) / 2, 2.8 / 1.2, 3))
    assert spread_of(np.array([0.0, 1])).max_to_min == math.inf


def test_flhetbench() -> None:
    """Times 10, 20, 30 and 200 s, all four in each of 10 rounds with a deadline of 120 s: S = 10, 10, 10, 0
    and c = 10, so ln 31 / ln 41, and three of four jobs in time. 40 trips are 10 rounds, which end with the
    ceil(0.8 x 4) = 4th client: (20 + 200) x 10 / (20 x 10) = 11. Without work both are 1.
    """
    rng = np.random.default_rng(0)
    times_s = np.array([10.0, 20, 30, 200])
    found = rounds_in_time(times_s, 120.0, 4, 10, rng)
    assert found == (pytest.approx(math.log(31) / math.log(41)), 0.75)
    assert time_of_trips(times_s, 4, 40, rng) == pytest.approx(11)
    assert rounds_in_time(np.zeros(4), 1.0, 4, 10, rng) == (1, 1)
    assert time_of_trips(np.zeros(4), 4, 40, rng) == 1


class There:
    """Clients that are all there for the first `stays_s` of every 12 s."""

    def __init__(self, n: int, stays_s: float) -> None:
        self.n, self.stays_s = n, stays_s

    def there(self, t_s: float) -> np.ndarray:
        return np.full(self.n, t_s % 12 < self.stays_s)

    def lasts_s(self, client: int, t_s: float, work_s: float) -> float:
        at_s, left_s = t_s, work_s
        while left_s > 0:
            stays_s = max(0.0, self.stays_s - at_s % 12)
            if left_s <= stays_s:
                return at_s + left_s - t_s
            left_s, at_s = left_s - stays_s, at_s + 12 - at_s % 12
        return at_s - t_s


def test_states_by_hand() -> None:
    """There for 6 of every 12 s, rounds of 12 s: work of 6 s is in time, work of 7 s takes 13 and is not.

    Trips of 4 s: each round takes 24 s, when all are there again: 24 / 20. Of 7 s, from 0: 13 s, 33 in all;
    they are away then, and at 53 s there for one more second: 1 + 6 (away) + 6 = 13 s, until 86 s; there for
    4: 4 + 6 + 3 = 13 s, 119 s in three rounds and a wait.
    """
    rng, states = np.random.default_rng(0), There(4, 6)
    assert rounds_in_time(np.full(4, 6.0), 12.0, 4, 10, rng, states) == (pytest.approx(1), 1)
    assert rounds_in_time(np.full(4, 7.0), 12.0, 4, 10, rng, states).share == 0
    assert time_of_trips(np.full(4, 4.0), 4, 12, rng, states) == pytest.approx(1.2)
    assert time_of_trips(np.full(4, 7.0), 4, 12, rng, states) == pytest.approx(119 / 60)
    assert time_of_trips(np.full(4, 7.0), 4, 12, rng, There(4, 0)) == math.inf


def test_a_perfect_fleet_scores_below_1_where_clients_are_drawn() -> None:
    """100 clients, 20 in each of 3,000 rounds: S varies around c = 600 with a standard deviation of
    sqrt(3000 x 0.2 x 0.8) = 21.9, so that min(S, c) loses 0.4 x 21.9 = 8.7 a client, and the score is
    ln(1 + 100 x 591.3) / ln(60,001) = 0.9987.
    """
    found = rounds_in_time(np.zeros(100), 1.0, 20, 3000, np.random.default_rng(0))
    assert found.score == pytest.approx(0.9987, abs=0.0003)
    assert found.share == 1
