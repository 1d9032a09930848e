"""Batteries by hand, with at most four clients: charging, reserve, rounds and other orders, resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bundled import example, plugin
from drawn import given
from toys import whole_toy
from variants import by_default
from worlds import played, world

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.columns import names_of
from distreal_sim.client.energy import BATTERY
from distreal_sim.devices.batteries import Battery, Rechargeable
from distreal_sim.devices.batteries.idle import Idle
from distreal_sim.devices.batteries.schedule import Daily, Schedule
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.rngs import ClientRngs
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow
from distreal_sim.simulation.verify import InvariantError

JOB_MACS = 640 * 2 * 16
"""One step of the worlds' network."""

TEN = {"name": "per_mac", "joules_per_mac": 10 / JOB_MACS}
"""A job takes 10 J."""


def battery(name: str = "idle", **options: Any) -> dict[str, Any]:
    """100 J, 35 of them at the start, and a reserve of 20, unless given."""
    return {"name": name, "capacity_j": 100.0, "start": 0.35, "reserve": 0.2, "charge_w": 0.0, **options}


def ledger(run_: Any) -> list[tuple[int, int, str, float, float, float]]:
    """(round, client, status, start, charged, end) of every job."""
    return [
        (row.round, row.client_id, row.status, *(row.metrics[name] for name in names_of(BATTERY)))
        for row in run_.clients
    ]


def levels_of(run_: Any) -> np.ndarray:
    """(jobs, 3) start, charged and end."""
    return np.array([own[3:] for own in ledger(run_)])


@pytest.mark.parametrize("name", [n for n in names(Battery) if issubclass(load(Battery, n), Rechargeable)])
def test_every_battery(name: str) -> None:
    """A cell within its limits, and a charger that is on or off and moves on, the same whenever asked."""
    own = plugin(Battery, name, example(Battery, name))
    assert isinstance(own, Rechargeable)
    for client_id in range(20):
        rngs = ClientRngs(3, "battery", client_id)
        cell = own.cell(rngs)
        assert cell == own.cell(rngs)
        assert 0 <= cell.start_j <= cell.capacity_j
        assert 0 <= cell.reserve_j < cell.capacity_j
        line, at_s = own.charging(rngs, Steady(1.0)), 0.0
        for _ in range(10):
            level, end_s = line.piece(at_s)
            assert level in (0, 1)
            assert end_s > at_s
            at_s = min(end_s, 1e9)


def test_drawn_cells_and_ranges() -> None:
    """Between 100 and 200 J, a quarter of the way: 125; half way between 0.2 and 0.6: 0.4 x 125 = 50 J."""
    own = Idle(capacity_j=(100, 200), start=(0.2, 0.6), reserve=0.1, charge_w=1)
    assert own.cell(given(capacity=[0.25], start=[0.5])) == pytest.approx((125, 50, 12.5))
    with pytest.raises(ValueError, match=r"start: low \(0.6\) must not exceed high \(0.2\)"):
        Idle(capacity_j=100, start=(0.6, 0.2), charge_w=1)


def test_hours_of_the_day() -> None:
    """A day of 24 s. 22 to 6 h: on until 6, off until 22, on until midnight, and on. 1 to 5 h: on between.
    3 h later, 22 to 6 h is 1 to 9 h.
    """
    night, noon = Daily(22, 6, 24), Daily(1, 5, 24)
    assert [night.piece(t) for t in (0, 5.9, 6, 21, 22, 24)] == [
        (1, 6), (1, 6), (0, 22), (0, 22), (1, 24), (1, 30),
    ]  # fmt: skip
    assert [noon.piece(t) for t in (0, 1, 4.9, 5, 25)] == [(0, 1), (1, 5), (1, 5), (0, 24), (1, 29)]
    own = Schedule(capacity_j=1, charge_w=1, spread_h=6, day_s=24)
    assert own.charging(given(later=[0.5]), None) == Daily(pytest.approx(1), pytest.approx(9), 24)
    with pytest.raises(ValueError, match="must differ"):
        Schedule(capacity_j=1, charge_w=1, from_h=3, to_h=3)


def test_rounds_until_the_reserve() -> None:
    """Rounds of 8 s, a job takes 10 J in 4 s. Of 35 J and without a charger: 25 after round 1. In round 2 the
    reserve, 20, is reached after half of the job: it stops at 2 s of 4 and half of its MACs. Then it is out.
    """
    found = played(world([4], {"name": "rounds"}, rounds=4, energy=TEN, battery=battery()))
    assert [own[2] for own in ledger(found)] == ["completed", "battery", "battery", "battery"]
    assert levels_of(found) == pytest.approx(np.array([[35, 0, 25], [25, 0, 20], [20, 0, 20], [20, 0, 20]]))
    assert [row.sim_s for row in found.clients] == pytest.approx([4, 2, 0, 0])
    assert [row.macs for row in found.clients] == pytest.approx([JOB_MACS, JOB_MACS // 2, 0, 0], abs=1)
    assert [row.n_steps_done for row in found.clients] == [1, 0, 0, 0]
    assert [row.download_bytes for row in found.clients] == [2600, 2600, 0, 0]
    assert [row.metrics["energy_j"] for row in found.clients] == pytest.approx([10, 5, 0, 0])
    assert [(row.n_completed, row.n_dropped) for row in found.rounds] == [(1, 0), (0, 0), (0, 0), (0, 0)]


def test_charging_while_idle() -> None:
    """As above at 1 W between jobs: 25 J at 4 s are 29 at 8 s, 19 wanted: the reserve is reached after 9 of
    10 J, at 3.6 s of 4. From 11.6 to 16 s 4.4 J more: 24.4, and 4.4 of 10 J, 1.76 s.
    """
    found = played(world([4], {"name": "rounds"}, rounds=3, energy=TEN, battery=battery(charge_w=1.0)))
    assert levels_of(found) == pytest.approx(np.array([[35, 0, 25], [29, 0, 20], [24.4, 0, 20]]), abs=1e-3)
    assert [row.sim_s for row in found.clients] == pytest.approx([4, 3.6, 1.76], abs=1e-3)


def test_charging_at_work_until_full() -> None:
    """A day of 16 s, charging from 0 to 6 s at 4 W, 100 J, 98 at the start; a job takes 2.5 W for 4 s.

    Round 1: gains 1.5 W, full after 2 J / 1.5 W = 1.333 s, then only what is used: 2 + 10 J, ends with 100.
    Until 8 s it stays full. Round 2, without a charger: 90 J. From 16 s on it charges again: round 3 begins
    with 90, gains 6 J in 4 s, charged 16.
    """
    own = battery("schedule", start=0.98, charge_w=4.0, from_h=0, to_h=9, day_s=16)
    found = played(world([4], {"name": "rounds"}, rounds=3, energy=TEN, battery=own))
    assert levels_of(found) == pytest.approx(np.array([[98, 12, 100], [100, 0, 90], [90, 16, 96]]))


def test_downloads_and_uploads_drain_too() -> None:
    """2 s down at 3 W, 1 s of computing at 10 W, 2 s up at 1 W: 18 J. Of 35 J with a reserve of 22: 29 after
    the download, 19 after computing: stopped at 2.7 s. With one of 18.5: stopped in the upload at 3.5 s, when
    a quarter of its 2,600 bytes was sent.
    """
    energy = {**TEN, "radio": [1.0, 0.0, 3.0, 0.0]}
    link = {"name": "constant", "download_bytes_per_s": 1300, "upload_bytes_per_s": 1300}
    for reserve, stops_s, n_bytes in ((0.22, 2.7, 0), (0.185, 3.5, 650), (0.16, None, 2600)):
        own = battery(reserve=reserve)
        found = played(world([1], {"name": "rounds"}, rounds=1, energy=energy, link=link, battery=own))
        row = found.clients[0]
        assert row.status == ("completed" if stops_s is None else "battery")
        assert row.sim_s == pytest.approx(stops_s or 5)
        assert row.upload_bytes == n_bytes
        assert row.metrics["battery_end_j"] == pytest.approx(max(100 * reserve, 17))


def test_plugged_clients_charge_while_they_are_there(tmp_path: Path) -> None:
    """There for 6 of every 8 s, at 2 W; a job of 4 s takes 10 J. 35 + 8 - 10 = 33 at 4 s, and 4 J more until
    6 s: 37 at 8 s, then 39.
    """
    (tmp_path / "there.csv").write_text("client,start_s,end_s\n0,0,6\n0,8,14\n0,16,16.5\n")
    there = {"name": "intervals", "file": str(tmp_path / "there.csv")}
    own = battery("plugged", charge_w=2.0)
    found = played(world([4], {"name": "rounds"}, rounds=2, energy=TEN, battery=own, availability=there))
    assert levels_of(found) == pytest.approx(np.array([[35, 8, 33], [37, 8, 35]]))


def test_jobs_by_events() -> None:
    """Jobs of 1 s and 3 s, each 10 J, of 35 J without a charger; every arrival is a step. Client 0: 25 at 1
    s, then 20 at 1.5 s: its job would be given up at its deadline, 9 s. Client 1: 25 at 3 s.
    """
    found = played(world([1, 3], {"name": "fedasync"}, rounds=2, energy=TEN, battery=battery()))
    by_client = {c: [own for own in ledger(found) if own[1] == c] for c in (0, 1)}
    assert np.array([own[3:] for own in by_client[0]]) == pytest.approx(np.array([[35, 0, 25], [25, 0, 20]]))
    assert [own[2] for own in by_client[0]] == ["completed", "battery"]
    assert [row.sim_s for row in found.rounds] == pytest.approx([1, 3])
    assert [own[2] for own in by_client[1]] == ["completed"]


def test_a_cancelled_job_takes_what_it_took_until_then() -> None:
    """Jobs of 1 and 4 s, 10 J each, with 2 W at work; the first update is merged, at 1 s, when client 1 has
    taken 2.5 J: 50 + 2 - 10 = 42 and 50 + 2 - 2.5 = 49.5, then 34 and 49.
    """
    own = battery("schedule", start=0.5, charge_w=2.0, from_h=0, to_h=23, day_s=1e6)
    rules = {"name": "first_k", "over": 2}
    found = played(world([1, 4], rules, rounds=2, clients_per_round=1, energy=TEN, battery=own))
    assert [row.metrics["cancelled"] for row in found.clients] == [0, 1, 0, 1]
    assert levels_of(found) == pytest.approx(
        np.array([[50, 2, 42], [50, 2, 49.5], [42, 2, 34], [49.5, 2, 49]]), abs=1e-3
    )


WORLD: dict[str, Any] = {
    "energy": {"name": "per_mac", "joules_per_mac": 1e-6, "idle_w": 0.5, "radio": "lte"},
    "battery": battery(capacity_j=[20.0, 60.0], start=[0.3, 1.0], charge_w=0.4),
    "rounds": 6,
    "link": {"name": "constant", "download_bytes_per_s": 4e4, "upload_bytes_per_s": 4e4},
}


def interrupt(row: RoundRow) -> None:
    if row.round == 3:
        raise KeyboardInterrupt


@pytest.mark.parametrize("coordination", by_default(["rounds", "fedbuff"], ["fedbuff"]))
def test_trained_timed_and_resumed_runs_agree(tmp_path: Path, coordination: str) -> None:
    """To the last byte, also after a cut between checkpoints; plans have the columns of trained runs."""
    rules = {"name": coordination, **({"buffer": 3} if coordination == "fedbuff" else {})}
    experiment = whole_toy(**WORLD, coordination=rules)
    run(experiment, tmp_path / "whole", grid="serial", verify=True)
    run(experiment, tmp_path / "timed", training=False, verify=True)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "cut", grid="serial", callbacks=[interrupt])
    run(experiment, tmp_path / "cut", grid="serial", resume=True, verify=True)
    for name in ("rounds.csv", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    folders = ("whole", "cut", "timed")
    trained, resumed, timed = (pd.read_parquet(tmp_path / d / "clients.parquet") for d in folders)
    pd.testing.assert_frame_equal(trained, resumed, check_exact=True)
    pd.testing.assert_frame_equal(*(t.drop(columns="train_loss") for t in (trained, timed)), check_exact=True)
    assert {"completed", "partial", "battery"} <= set(trained["status"])


def test_the_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A battery that loses a joule between two jobs is found."""
    from distreal_sim.simulation import batteries

    real = batteries.level_at
    monkeypatch.setattr(batteries, "level_at", lambda *own: real(*own) - (own[3] > 0))
    with pytest.raises(InvariantError, match="between jobs it charges"):
        played(world([4], {"name": "rounds"}, rounds=2, energy=TEN, battery=battery(start=0.9)))


def test_what_goes_together() -> None:
    with pytest.raises(InputError, match="needs an energy model"):
        whole_toy(battery=battery())
    with pytest.raises(InputError, match=r"availability\.name always does not say when"):
        whole_toy(energy=TEN, battery=battery("plugged"))
    with pytest.raises(InputError, match=r"method\.name astraea, whose clients start from each other"):
        whole_toy(energy=TEN, battery=battery(), method="astraea")
