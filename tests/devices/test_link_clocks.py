"""Clocks of links by hand, with at most four clients, and mistakes in trace files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import play
from toys import WHOLE_TOY, whole_toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs, generator
from distreal_sim.config.build import build
from distreal_sim.devices.links import Link, Use
from distreal_sim.devices.links._traced import Deliveries, Speeds
from distreal_sim.devices.links.cell import Cell
from distreal_sim.devices.links.constant import Constant
from distreal_sim.devices.links.lognormal import Lognormal
from distreal_sim.devices.links.lossy import Lossy
from distreal_sim.devices.links.mahimahi import Mahimahi, read_deliveries
from distreal_sim.devices.links.tcp import Tcp
from distreal_sim.devices.links.trace import Trace, read_speeds
from distreal_sim.devices.links.uniform import Uniform
from distreal_sim.devices.rngs import ClientRngs

FIRST = Use(1, 0.0, 4)
RNG = Rngs(4, (0,))


def test_drawn_speeds() -> None:
    """low + (high - low) u, u of the client, or of client and round: the draws of (seed, "network speed",
    client) and (seed, "network speed", client, round).
    """
    speeds = {"download_bytes_per_s": (100.0, 300.0), "upload_bytes_per_s": (10.0, 20.0)}
    for per, key in (("client", (2,)), ("round", (2, 7))):
        link = Uniform(**speeds, per=per).link(2, Use(7, 60.0, 4), ClientRngs(9, "network", 2))
        u = generator(9, "network speed", *key).random()
        assert link == Link(100 + 200 * u, 10 + 10 * u)


def test_lognormal_speeds() -> None:
    """ln(speed / median) / sigma is standard normal, cut off at 3: of 4000 clients its mean is within
    5 / sqrt(4000) = 0.08, its standard deviation within 5 / sqrt(8000) + 0.01 (the cut) of 1. Up and down are
    one draw, and no draw of another round is the same.
    """
    links = Lognormal(download_bytes_per_s=1e6, upload_bytes_per_s=1e5, sigma=0.7, per="round")
    clients, one = np.arange(4000), np.ones(4000, int)
    down, up, _ = links.link(clients, Use(one, 0.0, 4), ClientRngs(9, "network", clients))
    z = np.log(down / 1e6) / 0.7
    assert abs(z.mean()) < 0.08
    assert z.std() == pytest.approx(1.0, abs=0.067)
    assert np.abs(z).max() <= 3.000001
    np.testing.assert_allclose(up, down / 10, rtol=1e-12)
    later, _, _ = links.link(clients, Use(2 * one, 0.0, 4), ClientRngs(9, "network", clients))
    assert not (down == later).any()


def test_a_cell_is_shared_equally() -> None:
    """8000 bytes/s down and 400 up for 4 clients: 2000 and 100 each; a client whose own link has 1500 and 300
    gets 1500 and 100. 3000 bytes take 2 s down, and 30 s up after 0.5 s latency.
    """
    own = Constant(download_bytes_per_s=1500, upload_bytes_per_s=300, latency_s=0.5)
    cell = Cell(of=own, download_bytes_per_s=8000, upload_bytes_per_s=400, most_clients=8)
    link = cell.link(0, FIRST, RNG)
    assert link == Link(1500, 100, 0.5)
    assert (link.download_s(3000), link.upload_s(3000)) == (2.5, 30.5)
    assert cell.link(0, Use(1, 0.0, 2), RNG) == Link(1500, 200, 0.5)
    assert cell.slowest() == Link(1000, 50, 0.5)


def test_packets_that_are_lost_travel_again() -> None:
    """A quarter is lost: three quarters of the speed."""
    lossy = Lossy(of=Constant(download_bytes_per_s=800, upload_bytes_per_s=400), loss=0.25)
    assert lossy.link(0, FIRST, RNG) == Link(600, 300) == lossy.slowest()


def test_the_bound_of_tcp() -> None:
    """1460 bytes, 100 ms, 0.06 % of loss: 14600 x sqrt(1.5 / 0.0006) = 14600 x 50 = 730,000 bytes/s down; up
    the link has less, 5000. Each transfer takes half of the 100 ms more.
    """
    tcp = Tcp(of=Constant(download_bytes_per_s=1e9, upload_bytes_per_s=5e3), rtt_s=0.1, loss=0.0006)
    down, up, latency_s = tcp.link(0, FIRST, RNG)
    assert (down, up, latency_s) == (pytest.approx(730_000), 5000, 0.05)


def test_a_trace_of_speeds() -> None:
    """10 bytes/s for 2 s, nothing for 1 s, 20 bytes/s for 1 s; then again: 40 bytes in 4 s.

    From 0: 20 bytes by 2, 30 by 3.5, 40 by 4, 41 by 4.1, 100 = 2 x 40 + 20 by 8 + 2. From 1: 10 bytes by 2,
    11 by 3.05. From 2.5: nothing by 3, 20 bytes by 4; 40 bytes by 6: 10 bytes/s from 4 on. From 7.5, in the
    second loop: 10 bytes by 8.
    """
    trace = Speeds(np.array([0.0, 2.0, 3.0]), np.array([10.0, 0.0, 20.0]), 4.0)
    assert trace.mean_bytes_per_s == 10
    expected = {
        0.0: {20: 2.0, 30: 3.5, 40: 4.0, 41: 4.1, 100: 10.0, 0: 0.0},
        1.0: {10: 2.0, 11: 3.05},
        2.5: {20: 4.0, 40: 6.0},
        7.5: {10: 8.0},
    }
    for start_s, ends in expected.items():
        for n_bytes, end_s in ends.items():
            assert trace.end_s(n_bytes, start_s) == pytest.approx(end_s, abs=1e-12)


def test_a_trace_that_ends_with_nothing() -> None:
    """10 bytes/s for 1 s, nothing for 1 s: 10 bytes are through at 1, not at 2, and 20 at 3."""
    trace = Speeds(np.array([0.0, 1.0]), np.array([10.0, 0.0]), 2.0)
    assert [trace.end_s(n, 0.0) for n in (10, 20, 21)] == [1.0, 3.0, pytest.approx(4.1)]


def test_a_trace_of_packets(tmp_path: Path) -> None:
    """Deliveries at 3, 3, 10, 25 ms, then at 28, 28, 35, 50 ms, and so on.

    1500 bytes from 0: 3 ms; 3000: 3; 3001, three packets: 10; 6001, five: 28. From 4 ms the first is at 10;
    from 10 ms, too; from 25 ms at 25, and the second at 28; from 26 ms at 28, five packets at 53. Mean: 6000
    bytes in 25 ms.
    """
    (tmp_path / "down").write_text("3\n3\n10\n25\n")
    trace = read_deliveries(tmp_path / "down")
    assert trace.mean_bytes_per_s == pytest.approx(240_000)
    expected = {
        (1500, 0): 3,
        (3000, 0): 3,
        (3001, 0): 10,
        (6000, 0): 25,
        (6001, 0): 28,
        (1, 4): 10,
        (1500, 10): 10,
        (1500, 25): 25,
        (1501, 25): 28,
        (1500, 26): 28,
        (7500, 26): 53,
        (0, 7): 7,
    }
    for (n_bytes, start_ms), end_ms in expected.items():
        assert trace.end_s(n_bytes, start_ms / 1000) == pytest.approx(end_ms / 1000)


def test_a_trace_of_packets_agrees_with_a_walk() -> None:
    """Against a walk from delivery to delivery, at whole milliseconds, some on top of each other."""
    rng = np.random.default_rng(3)
    at_ms = np.sort(rng.integers(0, 40, 25))
    trace = Deliveries(at_ms / 1000, 1500)
    for start_ms in range(0, 130, 3):
        left, ms = 4, start_ms
        while True:
            loops = range(ms // int(at_ms[-1]) + 1)
            left -= sum(int((at_ms + loop * at_ms[-1] == ms).sum()) for loop in loops)
            if left <= 0:
                break
            ms += 1
        assert trace.end_s(6000, start_ms / 1000) == pytest.approx(ms / 1000), start_ms


def test_clients_share_files(tmp_path: Path) -> None:
    """Clients 0 and 2 have the first link, 1 the second. At 4 s, in round 2, a trace of 4 s begins again."""
    rows = "link,t_s,download_bytes_per_s,upload_bytes_per_s\na,10,100,10\na,12,300,30\nb,0,7,7\nb,1,7,7\n"
    (tmp_path / "links.csv").write_text(rows)
    links = Trace(file=tmp_path / "links.csv", latency_s=1.0)
    for client_id in (0, 2):
        for use in (FIRST, Use(2, 4.0, 4)):
            link = links.link(client_id, use, RNG)
            assert link.download_s(500) == pytest.approx(1 + 3)  # 200 bytes in 2 s, 300 in the third
            assert link.upload_s(30, 2.0) == pytest.approx(1 + 1)
            assert link.expected_upload_s(40) == 1 + 2
    assert links.link(1, FIRST, RNG).download_s(14) == 1 + 2
    assert links.slowest() == Link(7, 7, 1)
    moved = Trace(file=tmp_path / "links.csv", offset="random").link(0, FIRST, RNG)
    u = RNG("offset").random()
    assert moved.start_s == 4 * u


def test_an_upload_that_comes_too_late_is_lost(tmp_path: Path) -> None:
    """Of n bytes, n / s for 2 s, then n / 10 a second for 8 s, and again: 2.8 n in 10 s.

    A client that is done at once has sent n at 1 s. One that is slow leaves room for the upload it expects,
    10 / 2.8 = 3.57 s, and computes until 6.43 s of 10; 0.357 n are through at 10 s, and its update is lost. A
    server that waits gets it when n bytes have passed since it stopped computing.
    """
    n = 4 * sum(build(whole_toy(method="fedavg")).model_sizes)
    rows = [(0, n), (2, 0.1 * n), (6, 0.1 * n)]
    text = "t_s,download_bytes_per_s,upload_bytes_per_s\n" + "".join(f"{t},1e15,{up}\n" for t, up in rows)
    (tmp_path / "link.csv").write_text(text)
    link = {"name": "trace", "file": str(tmp_path / "link.csv")}
    own: dict[str, Any] = {"method": "fedavg", "link": link, "n_clients": 4, "clients_per_round": 4}
    own["dataset"] = WHOLE_TOY["dataset"]
    done = play(1, profile={"name": "constant", "level": 1e9}, **own).clients
    assert [row.sim_s for row in done] == pytest.approx([1.0] * 4, abs=1e-3)
    slow = {"name": "constant", "level": 0.1}
    late = play(1, profile=slow, **own).clients
    assert {(row.status, row.sim_s, row.upload_bytes) for row in late} == {("dropped", 10.0, 0)}
    assert max(row.n_steps_done for row in late) > 0
    played = play(1, profile=slow, overrun="wait", **own)

    def passed(t_s: float) -> float:
        """Shares of n that the link could have carried by then."""
        loops, rest = divmod(t_s, 10)
        return 2.8 * loops + min(rest, 2) + 0.1 * max(rest - 2, 0)

    for row in played.clients:
        computed_s = row.macs / (0.1 * played.task.devices.median_level_1)
        assert passed(row.sim_s) - passed(computed_s) == pytest.approx(1, abs=1e-6)
    assert played.rounds[0].sim_s == max(row.sim_s for row in played.clients)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a delivery after 0 ms"),
        ("0\n0\n", "must hold a delivery after 0 ms"),
        ("3\nx\n", ":2: 'x' must be a whole number of ms, such as 17"),
        ("3\n2\n", ":2: 2 ms must not come after 3 ms"),
        ("3.5\n", ":1: '3.5' must be a whole number of ms"),
    ],
)
def test_mistakes_in_packets(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "packets").write_text(text)
    with pytest.raises(InputError, match=message):
        read_deliveries(tmp_path / "packets")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t_s,upload_bytes_per_s\n", "it lacks download_bytes_per_s"),
        ("", "it lacks t_s"),
        ("0,1,1\n", "there must be at least two rows"),
        ("0,1,1\n5,1,1\n3,1,1\n", r", t = 3 s: must come after 5 s, the row before it"),
        ("0,1,x\n1,1,1\n", r":2: upload_bytes_per_s \(x\) must be a number of at least 0"),
        ("0,-1,1\n1,1,1\n", r":2: download_bytes_per_s \(-1\) must be a number of at least 0"),
        ("0,0,1\n1,0,1\n", "a speed must be above 0 at some time"),
    ],
)
def test_mistakes_in_speeds(text: str, message: str, tmp_path: Path) -> None:
    head = "" if "t_s" in text or not text else "t_s,download_bytes_per_s,upload_bytes_per_s\n"
    (tmp_path / "links.csv").write_text(head + text)
    with pytest.raises(InputError, match=message):
        read_speeds(tmp_path / "links.csv")


def test_mistakes_in_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trace file .*/a is not there"):
        Mahimahi(download=(tmp_path / "a",), upload=(tmp_path / "a",)).slowest()
    with pytest.raises(InputError, match="1 files under download, 2 under upload"):
        whole_toy(link={"name": "mahimahi", "download": ["a"], "upload": ["a", "b"]})
    with pytest.raises(InputError, match=r"the lowest speed \(5\) must not exceed the highest \(4\)"):
        whole_toy(link={"name": "uniform", "download_bytes_per_s": [5, 4], "upload_bytes_per_s": [1, 1]})
    traced = {"name": "trace", "file": "x.csv"}
    with pytest.raises(InputError, match="link trace changes during a transfer"):
        whole_toy(link={"name": "tcp", "of": traced})
    assert math.isinf(Tcp(of="unlimited", loss=0.01).of.slowest().upload_bytes_per_s)
