"""Clients that come and go: clocks by hand, files of intervals, and rounds in which clients leave."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bundled import ROOT, example, plugin
from drawn import given
from toys import whole_toy
from variants import by_default

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import names
from distreal_sim.client.schedule import Choice, Moment, NeverDoneError, Schedule, schedule
from distreal_sim.client.settings import Overrun
from distreal_sim.config.build import build
from distreal_sim.devices import processes
from distreal_sim.devices.availability import Availability, Presences
from distreal_sim.devices.availability.diurnal import Diurnal
from distreal_sim.devices.availability.intervals import Intervals, shares_there, stick_breaking
from distreal_sim.devices.availability.markov import Markov
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.presence import Attended, Presence
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.rngs import ClientRngs
from distreal_sim.run import run

READY = ROOT / "configs" / "traces" / "four_phones_ready.csv"


class Absences:
    """A client that is there but for the spans [from, to)."""

    def __init__(self, *spans: tuple[float, float]) -> None:
        self.spans = spans

    def piece(self, t_s: float) -> tuple[float, float]:
        for from_s, to_s in self.spans:
            if t_s < to_s:
                return (1.0, from_s) if t_s < from_s else (0.0, to_s)
        return 1.0, math.inf


def played(
    *spans: tuple[float, float], when: str, overrun: Overrun = "partial"
) -> tuple[Schedule, list[Moment]]:
    """Three steps of 20 MACs at 10 MAC/s, with a deadline of 10 s; and what the client knew before each."""
    seen: list[Moment] = []

    def choose(moment: Moment) -> Choice:
        seen.append(moment)
        return Choice((1,), 20)

    there = Absences(*spans)
    capacity = Capacity(Attended(Steady(1.0), there), 10.0, 0.0)
    presence = Presence(there, 0.0, when == "pause")
    plan = schedule([1, 1, 1], capacity, choose, start_s=0, end_s=10, overrun=overrun, presence=presence)
    return plan, seen


def times(plan: Schedule) -> list[tuple[float, float]]:
    return [(step.start_s, step.end_s) for step in plan.steps]


def test_work_pauses() -> None:
    """Steps of 2 s. A is always there. B is away in [3, 5): its second step has 1 s done then and ends at 6.
    C is away in [4, 5), where a step has just ended: the next one begins at 5, and it knows its capacity of
    10 then, not 0. D leaves at 5 and is not back by 10: two steps count, 50 MACs are done.
    """
    a, _ = played(when="pause")
    b, _ = played((3, 5), when="pause")
    c, seen = played((4, 5), when="pause")
    d, _ = played((5, 12), when="pause")
    assert times(a) == [(0, 2), (2, 4), (4, 6)]
    assert times(b) == [(0, 2), (2, 6), (6, 8)]
    assert times(c) == [(0, 2), (2, 4), (5, 7)]
    assert [(m.t_s, m.macs_per_s) for m in seen] == [(0, 10), (2, 10), (5, 10)]
    assert times(d) == [(0, 2), (2, 4)]
    assert [(p.status, p.macs) for p in (a, b, c)] == [("completed", 60)] * 3
    assert (d.status, d.macs, d.compute_end_s) == ("partial", 50, 10)
    away, _ = played((4, 12), when="pause")
    assert (away.status, away.macs, away.compute_end_s) == ("partial", 40, 10)


def test_a_round_is_lost() -> None:
    """The same clients lose their round when they leave, after 30, 40 and 50 MACs; who leaves at 6, where the
    last step ends, or after it, has done its work.
    """
    for spans, macs in [((3, 5), 30), ((4, 5), 40), ((5, 12), 50)]:
        for overrun in ("partial", "drop", "wait"):
            plan, seen = played(spans, when="drop", overrun=overrun)  # type: ignore[arg-type]
            assert (plan.status, plan.macs, plan.leaves_s) == ("dropped", macs, spans[0])
            assert [m.end_s for m in seen] == [10] * len(seen)
    at_6, _ = played((6, 7), when="drop")
    assert (at_6.status, at_6.compute_end_s, at_6.leaves_s) == ("completed", 6, 6)
    assert played((11, 12), when="drop")[0].leaves_s == math.inf


def test_the_server_waits_for_a_client_that_comes_back() -> None:
    """D, away from 5 to 12, has 10 of 20 MACs left and ends at 13; who never comes back is an error."""
    d, _ = played((5, 12), when="pause", overrun="wait")
    assert (d.status, d.compute_end_s) == ("completed", 13)
    with pytest.raises(NeverDoneError):
        played((5, math.inf), when="pause", overrun="wait")


def pieces(line: Any, until_s: float) -> list[tuple[float, float]]:
    found, t_s = [], 0.0
    while t_s < until_s:
        level, t_s = line.piece(t_s)
        found.append((pytest.approx(t_s), level))
    return found


def test_markov(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 s there and 30 s away: a share of 1/4, and events at 1/10 + 1/30 = 4/30 per s, in windows of 30 s.
    The number 0.2 means there from the start; the first window has events at 6, 15 and 24 s with 0.1, 0.9 and
    0.3: there, away, away. Nothing happens in the second one.
    """
    drawn = {0: [[0.2, 0.5, 0.8], [0.1, 0.9, 0.3]], 1: [[], []]}
    monkeypatch.setattr(
        processes,
        "poisson_then",
        lambda mean, per_event, key: (np.array(drawn[key]), np.array(len(drawn[key][0]))),
    )

    def rng(purpose: str, *key: int) -> Any:
        return key[0] if purpose == "window" else given(initial=[0.2])(purpose)

    line = Markov(there_s=10, away_s=30).presence(0, rng, 10.0)
    assert pieces(line, 60) == [(6, 1), (15, 1), (24, 0), (30, 0), (60, 0)]


@pytest.mark.slow
def test_markov_in_the_long_run() -> None:
    """Over 40,000 s of 20 clients, 20,000 stays of 10 s in the mean: a quarter of the time there (standard
    error: the square root of 2 x 7.5 x 3/16 / 800,000 = 0.002), and 10 s a stay (0.07).
    """
    n_stays, there_s = 0, 0.0
    for client_id in range(20):
        line = Markov(there_s=10, away_s=30).presence(
            client_id, ClientRngs(3, "availability", client_id), 1.0
        )
        t_s, was = 0.0, 0.0
        while t_s < 40_000:
            level, end_s = line.piece(t_s)
            there_s += level * (end_s - t_s)
            n_stays += level > was
            t_s, was = end_s, level
    assert there_s / 800_000 == pytest.approx(0.25, abs=0.01)
    assert there_s / n_stays == pytest.approx(10, abs=0.35)


def test_diurnal() -> None:
    """A day of 8 s in 4 pieces: probabilities 0.146, 0.854, 0.854 and 0.146 (see the profile). Of the draws
    0.1, 0.9, 0.5 and 0.5 the first and the third are below them; a day that begins one piece ahead has 0.854,
    0.854, 0.146 and 0.146: only the first is.
    """
    drawn = {k: [u] for k, u in enumerate([0.1, 0.9, 0.5, 0.5])}
    diurnal = Diurnal(low=0, high=1, period_s=8, steps=4)
    line = diurnal.presence(0, given(zone=[0.0], there=drawn), 10.0)
    assert pieces(line, 8) == [(2, 1), (4, 0), (6, 1), (8, 0)]
    ahead = diurnal.presence(0, given(zone=[0.25], there=drawn), 10.0)
    assert pieces(ahead, 8) == [(2, 1), (4, 0), (6, 0), (8, 0)]
    with pytest.raises(ValueError, match=r"low \(0.5\) must not exceed high"):
        Diurnal(low=0.5)


def write(folder: Path, text: str) -> Path:
    path = folder / "ready.csv"
    path.write_text(text)
    return path


def test_intervals(tmp_path: Path) -> None:
    """All are watched until 30, the last end. a is there in [2, 5) and [5, 8), which are one, b in [0, 30), c
    in no interval that has a length.
    """
    rows = "client,start_s,end_s\na,5,8\na,2,5\nb,0,30\nc,7,7\n"
    intervals = Intervals(file=write(tmp_path, rows))
    lines = [intervals.presence(i, ClientRngs(1, "availability", i), 10.0) for i in range(4)]
    assert pieces(lines[0], 32) == [(2, 0), (8, 1), (30, 0), (32, 0)]
    assert pieces(lines[1], 60) == [(30, 1), (60, 1)]
    assert pieces(lines[2], 30) == [(30, 0)]
    assert pieces(lines[3], 8) == pieces(lines[0], 8)
    shares, lengths_s = shares_there(intervals._series())
    assert (shares.tolist(), lengths_s.tolist()) == ([0.2, 1, 0], [6, 30])
    assert "3 traces of 30 to 30 s; there 40 % of the time, 2 intervals of 18 s" in intervals.notes()[0]


def test_phones(tmp_path: Path) -> None:
    """Watched from 100 to 110 and ready in [103, 105): 2 of 10 s; on a common clock from 90 on, [13, 15) of
    20 s. A phone without success is left out.
    """
    phones = {
        "x": {"isSuccess": True, "trace_start": 100, "trace_end": 110, "ready_time": [[103, 105]]},
        "y": {"isSuccess": False, "trace_start": None, "trace_end": None, "ready_time": []},
        "z": {"isSuccess": True, "trace_start": 90, "trace_end": 110, "ready_time": [[90, 110]]},
    }
    path = tmp_path / "phones.json"
    path.write_text(json.dumps(phones))
    own = Intervals(file=path, format="phones")
    assert pieces(own.presence(0, ClientRngs(1, "", 0), 1.0), 10) == [(3, 0), (5, 1), (10, 0)]
    common = Intervals(file=path, format="phones", clock="common")
    assert pieces(common.presence(0, ClientRngs(1, "", 0), 1.0), 20) == [(13, 0), (15, 1), (20, 0)]
    assert pieces(common.presence(1, ClientRngs(1, "", 1), 1.0), 20) == [(20, 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client,start_s,end_s\na,5,3\n", r"client a: the interval from 5 to 3 s ends before it starts"),
        (
            "client,start_s,end_s\na,1,5\na,4,6\n",
            r"client a: the interval from 4 to 6 s overlaps the one bef",
        ),
        ("client,start,end_s\na,1,5\n", r"has no column 'start_s'; did you mean 'start'"),
    ],
)
def test_mistakes_in_intervals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Intervals(file=write(tmp_path, text)).notes()


def test_real_phones(real_data: Path) -> None:
    """710 phones, ready 9.5 % of the time. Their 14,139 intervals, of which 844 have no length and are left
    out, have a median of 138 s.
    """
    path = real_data / "traces" / "flhetbench" / "cached_timers.json.gz"
    ready = Intervals(file=path, format="phones")
    shares, lengths_s = shares_there(ready._series())
    assert len(shares) == 710
    assert shares.mean() == pytest.approx(0.095, abs=0.0005)
    n_none = 14_139 - len(lengths_s)
    assert n_none == 844
    assert np.median([*lengths_s, *[0.0] * n_none]) == 138


@pytest.mark.parametrize("name", names(Availability))
@pytest.mark.parametrize("begin", [0.0, 1e6])
def test_presences_of_many_are_those_of_each(name: str, begin: float) -> None:
    """Walks of 40 rows, some of the same client: levels and ends equal those of clients asked alone."""
    own = plugin(Availability, name, example(Availability, name))
    if not isinstance(own, Presences):
        return
    rng = np.random.default_rng(2)
    client_ids, times_s = rng.integers(0, 30, 40), begin + rng.uniform(0, 1000, 40)
    many: Any = own.presence(client_ids, ClientRngs(3, "availability", client_ids), 10.0)  # type: ignore[arg-type]
    alone = [own.presence(c, ClientRngs(3, "availability", c), 10.0) for c in client_ids.tolist()]
    for _ in range(15):
        rows = np.flatnonzero(rng.random(40) < 0.6)
        levels, ends_s = many.piece(times_s[rows], rows)
        expected = [alone[row].piece(float(times_s[row])) for row in rows]
        assert list(zip(levels.tolist(), ends_s.tolist(), strict=True)) == expected
        assert set(levels.tolist()) <= {0.0, 1.0}
        assert (ends_s > times_s[rows]).all()
        times_s[rows] = ends_s


LEARNT = ["test_accuracy", "test_loss", "train_loss", "submodel_accuracy", "submodel_loss"]


@pytest.mark.parametrize(
    ("method", "when"),
    by_default(
        itertools.product(["distreal", "heterofl"], ["pause", "drop"]),
        [("distreal", "pause"), ("heterofl", "drop")],
    ),
)
def test_a_run(tmp_path: Path, method: str, when: str) -> None:
    """Phones of the example file in rounds of 10 s: only those that are there at 0, 10, 20 and 30 s are
    selected (phones 0 and 1; 0, 2 and 3 but not 1 in [13, 18)). The bookkeeping holds, nobody works while it
    is away, and the clock alone gives the same rows. Who leaves within its round and before its work is done
    is lost only where `when` is drop.
    """
    availability = {"name": "intervals", "file": str(READY), "when": when}
    strong = {"name": "constant", "level": 0.5}
    changes: dict[str, Any] = {"availability": availability, "profile": strong, "method": method}
    experiment = whole_toy(**changes, rounds=4, clients_per_round=12)
    run(experiment, tmp_path / "trained", grid="serial", verify=True)
    run(experiment, tmp_path / "timed", training=False, verify=True)
    clients = pd.read_parquet(tmp_path / "trained" / "clients.parquet")
    there = {1: {0, 1, 3}, 2: {0, 1, 2, 3}, 3: {0, 1, 2}, 4: {0, 1, 3}}
    for number, phones in there.items():
        chosen = clients[clients["round"] == number].client_id
        assert {client_id % 4 for client_id in chosen} == phones
        assert len(chosen) == 3 * len(phones)
    task = build(experiment)
    for row in clients.itertuples():
        presence = task.devices.presence(row.client_id, 10.0 * (row.round - 1))
        assert presence is not None
        if when == "drop" and row.status != "dropped":
            assert presence.leaves_s(10.0) >= row.sim_s * (1 - 1e-9)
        if when == "pause":
            assert row.status != "dropped" or row.macs < row.macs_available * (1 + 1e-6)
    lost = clients.status == "dropped"
    assert lost.any() == (when == "drop") or method == "heterofl"
    tables = [pd.read_csv(tmp_path / name / "rounds.csv") for name in ("trained", "timed")]
    pd.testing.assert_frame_equal(*(t.drop(columns=LEARNT) for t in tables), check_exact=True)


def test_traces_by_rank(tmp_path: Path) -> None:
    """Trace 2 is there for 9 of 10 s, 0 for 5, 1 for 1 s. With little alpha all clients follow the first
    rank; without the best one trace 0; with alpha 3 some follow each.
    """
    path = tmp_path / "ready.csv"
    path.write_text("client,start_s,end_s\n0,0,5\n1,0,1\n2,0,9\n2,9.5,10\n1,9.9,10\n")

    def shares(**options: Any) -> list[float]:
        own = Intervals(file=path, assign="ranked", **options)
        lines = [own.presence(i, ClientRngs(1, "availability", i), 1.0) for i in range(200)]
        return [float(line.piece(0.0)[1]) for line in lines]

    assert set(shares(alpha=1e-6)) == {9.0}
    assert set(shares(alpha=1e-6, start_rank=1)) == {5.0}
    assert set(shares(alpha=3, draw=1)) == {9.0, 5.0, 1.0}
    with pytest.raises(InputError, match="must be below 3, the number of traces"):
        shares(start_rank=3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_the_weights_of_ranks(alpha: float) -> None:
    """E[w_k] = 1 / (1 + alpha) x (alpha / (1 + alpha))^(k - 1): Beta(1, alpha) has the mean 1 / (1 + alpha),
    and what each leaves alpha / (1 + alpha). A weight varies by at most 0.3, the mean of 2,000 by 0.007.
    """
    drawn = np.array([stick_breaking(80, alpha, np.random.default_rng(i)) for i in range(2000)])
    expected = (alpha / (1 + alpha)) ** np.arange(3) / (1 + alpha)
    assert drawn.mean(axis=0)[:3] == pytest.approx(expected, abs=0.03)
    assert drawn.sum(axis=1) == pytest.approx(1)
