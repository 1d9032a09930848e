"""Energy by hand, with at most four clients: computing, radio, columns, and the energy of lost work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rounds import Played, play
from toys import WHOLE_TOY, whole_toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.client.energy import ENERGY
from distreal_sim.config.build import build
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.energy import Energy
from distreal_sim.devices.energy.cubic import Cubic
from distreal_sim.devices.energy.per_mac import PerMac
from distreal_sim.devices.energy.points import Points
from distreal_sim.devices.processes import Steady
from distreal_sim.results.directories import find_runs
from distreal_sim.run import run

FOUR = {"method": "fedavg", "n_clients": 4, "clients_per_round": 4}


class Halves:
    """Level 1 for 2 s, then 0.5 for 2 s, then 0, then 1 from 6 s on."""

    def piece(self, t_s: float) -> tuple[float, float]:
        pieces = [(1.0, 2.0), (0.5, 4.0), (0.0, 6.0), (1.0, float("inf"))]
        return next((level, end) for level, end in pieces if t_s < end)


def test_operating_points() -> None:
    """2 MACs a cycle; points of 10 Hz at 1 V and 20 Hz at 2 V, C 0.1 F: 20 MAC/s take 0.1 x 1 x 10 = 1
    W, and 40 MAC/s 0.1 x 4 x 20 = 8 W; 3 W static. 10 MAC/s: half of the time at the first point, 0.5 +
    3 W; 30 MAC/s: three quarters of the second, 6 + 3 W. Over Halves of 40 MAC/s: 2 s at 11 W, 2 s of
    20 MAC/s at 4 W, 2 s at 3 W.
    """
    points = Points(points=((10, 1), (20, 2)), capacitance_f=0.1, static_w=3, macs_per_cycle=2)
    assert [points.watts(c) for c in (0, 10, 20, 30, 40)] == pytest.approx([3, 3.5, 4, 9, 11])
    capacity = Capacity(Halves(), 40.0, 0.0)
    assert points.computing_j(0, capacity, 0.0, 6.0) == pytest.approx(22 + 8 + 6)
    assert points.computing_j(0, capacity, 1.0, 3.0) == pytest.approx(11 + 4)
    with pytest.raises(InputError, match="a client has 41 MAC/s, and the fastest point does 40"):
        points.watts(41)
    with pytest.raises(InputError, match="must rise"):
        whole_toy(
            energy={"name": "points", "points": [[2, 1], [1, 1]], "capacitance_f": 1, "macs_per_cycle": 1}
        )


def test_the_cube_of_the_frequency() -> None:
    """kappa f^2 joules a cycle: 2 MACs a cycle, 40 MAC/s are 20 Hz, and kappa 0.01 gives 0.01 x 8000 = 80 W;
    100 cycles, 5 s, take 400 J = 0.01 x 20^2 x 100.
    """
    cubic = Cubic(kappa=0.01, macs_per_cycle=2)
    assert cubic.watts(40) == pytest.approx(80)
    assert cubic.computing_j(200, Capacity(Steady(1.0), 40.0, 0.0), 0.0, 5.0) == pytest.approx(400)
    with pytest.raises(InputError, match="infinite capacity"):
        cubic.watts(float("inf"))


def test_joules_per_mac_and_idle_power() -> None:
    """0.5 J a MAC, 3 W: 100 MACs in 6 s take 50 + 18 J, whatever the capacity in between."""
    energy = PerMac(joules_per_mac=0.5, idle_w=3)
    assert energy.computing_j(100, Capacity(Halves(), 40.0, 0.0), 0.0, 6.0) == 68


@pytest.mark.parametrize(
    ("radio", "down_j", "up_j"),
    [
        ("lte", 2 * 2.839 + 40 * 0.0115, 4 * 2.926 + 10 * 0.0767),
        ("5g_low", 2 * 3.059 + 40 * 0.0115, 4 * 3.199 + 10 * 0.0322),
        ((1.0, 2.0, 3.0, 4.0), 2 * 3 + 40 * 4, 4 * 1 + 10 * 2),
        ("none", 0, 0),
    ],
)
def test_radios(radio: Any, down_j: float, up_j: float) -> None:
    """5 MB in 2 s, 40 Mbit at 20 Mbit/s: 2 s x (a + b x 20) = 2 a + 40 b. 1.25 MB up in 4 s: 4 a + 10 b."""
    energy = PerMac(joules_per_mac=1, radio=radio)
    assert energy.download_j(5_000_000, 2.0) == pytest.approx(down_j)
    assert energy.upload_j(1_250_000, 4.0) == pytest.approx(up_j)


def link(down_s: float, up_s: float) -> dict[str, Any]:
    """One over which the model takes so long."""
    n = 4 * sum(build(whole_toy(method="fedavg")).model_sizes)
    return {"name": "constant", "download_bytes_per_s": n / down_s, "upload_bytes_per_s": n / up_s}


def parts(played: Played) -> list[tuple[float, float, float]]:
    return [tuple(row.metrics[c.name] for c in ENERGY) for row in played.clients]  # type: ignore[misc]


@pytest.mark.parametrize("overrun", ["partial", "drop"])
def test_columns_of_a_round(overrun: str) -> None:
    """1 s down, 2 s up: 7 s to compute in. Radio: 1 W up and 3 W down whatever the rate: 3 + 2 J, only
    3 where nothing is sent. Computing: 1 nJ a MAC and 2 W until the client is done, which its MACs say.
    """
    energy = {"name": "per_mac", "joules_per_mac": 1e-9, "idle_w": 2.0, "radio": [1.0, 0.0, 3.0, 0.0]}
    own = {**FOUR, "link": link(1.0, 2.0), "overrun": overrun}
    played = play(1, energy=energy, profile={"name": "constant", "level": 0.5}, **own)
    scale = 0.5 * played.task.devices.median_level_1
    assert {row.status for row in played.clients} >= {"partial" if overrun == "partial" else "dropped"}
    for row, (energy_j, compute_j, radio_j) in zip(played.clients, parts(played), strict=True):
        assert compute_j == pytest.approx(1e-9 * row.macs + 2 * row.macs / scale, rel=1e-6)
        assert radio_j == pytest.approx(3 + 2 * (row.status != "dropped"))
        assert energy_j == compute_j + radio_j
    totals = [sum(values) for values in zip(*parts(played), strict=True)]
    assert [played.rounds[0].more[c.name] for c in ENERGY] == pytest.approx(totals)


def test_a_late_upload_is_charged_until_the_deadline(tmp_path: Path) -> None:
    """n / s for 2 s, then n / 10 a second, 2.8 n in 10 s: a client expects to send n in 3.57 s, stops
    at 6.43 s of 10 and sends for 3.57 s in vain, at 1 W.
    """
    n = 4 * sum(build(whole_toy(method="fedavg")).model_sizes)
    rows = "".join(f"{t},1e15,{up}\n" for t, up in [(0, n), (2, 0.1 * n), (6, 0.1 * n)])
    (tmp_path / "link.csv").write_text("t_s,download_bytes_per_s,upload_bytes_per_s\n" + rows)
    energy = {"name": "per_mac", "joules_per_mac": 1e-30, "radio": [1.0, 0.0, 0.0, 0.0]}
    traced = {"name": "trace", "file": str(tmp_path / "link.csv")}
    own = {**FOUR, "dataset": WHOLE_TOY["dataset"]}
    played = play(1, energy=energy, link=traced, profile={"name": "constant", "level": 0.1}, **own)
    assert {row.status for row in played.clients} == {"dropped"}
    assert [radio_j for _, _, radio_j in parts(played)] == pytest.approx([10 / 2.8] * 4, rel=1e-6)


def test_a_client_that_skips_takes_nothing() -> None:
    energy = {"name": "per_mac", "joules_per_mac": 1.0, "idle_w": 1.0, "radio": "lte"}
    own = {**FOUR, "method": "heterofl", "profile": {"name": "constant", "level": 1e-9}}
    assert parts(play(1, energy=energy, **own)) == [(0.0, 0.0, 0.0)] * 4


def test_no_energy_no_column() -> None:
    assert whole_toy().columns == ()
    assert [c.name for c in whole_toy(energy={"name": "per_mac", "joules_per_mac": 1}).columns] == [
        "energy_j", "compute_j", "radio_j",
    ]  # fmt: skip
    played = play(1, **FOUR)
    assert not played.rounds[0].more
    assert not played.clients[0].metrics


@pytest.mark.parametrize("name", [n for n in names(Energy) if n != "none"])
def test_runs_and_the_clock_alone_agree(name: str, tmp_path: Path) -> None:
    """To the last bit, in every column of energy, also where all clients are timed at once."""
    scale = build(whole_toy()).devices.median_level_1
    options: dict[str, Any] = {
        "per_mac": {"joules_per_mac": 1e-9, "idle_w": 0.7},
        "cubic": {"kappa": 1e-20, "macs_per_cycle": 4},
        "points": {
            "points": [[scale / 8, 0.5], [scale, 1.1]], "capacitance_f": 1e-6, "static_w": 0.2,
            "macs_per_cycle": 1,
        },
    }  # fmt: skip
    energy = {"name": name, "radio": "lte", **options[name]}
    experiment = whole_toy(energy=energy, link=link(0.5, 1.0), rounds=2)
    run(experiment, tmp_path / "trained", grid="serial", verify=True)
    run(experiment, tmp_path / "timed", training=False, verify=True)
    columns = ["client_id", *(c.name for c in ENERGY)]
    trained, timed = (pd.read_parquet(tmp_path / d / "clients.parquet") for d in ("trained", "timed"))
    pd.testing.assert_frame_equal(trained[columns], timed[columns], check_exact=True)
    assert (trained["energy_j"] > 0).all()
    assert find_runs([tmp_path / "trained"])[0].rounds["energy_j"].sum() == pytest.approx(
        trained["energy_j"].sum()
    )
