"""The simulated clock with costs that are written down by hand.

small_cnn (16, 32, 64 channels) on 8 x 8 inputs has 2 * 9,216 + 3 * (73,728 + 73,728 + 640) = 462,720 training
MACs per example; half of its channels 2 * 4,608 + 3 * (18,432 + 18,432 + 320) = 120,768. A client plans 4
batches of 16 and has 16 * 462,720 = 7,403,520 MAC/s, so that a full step takes a second.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cost_tables import KINDS, METHODS, ShareOf, file_of, macs_shares
from rounds import Rows
from shares import front_of_shares
from toys import toy, whole_toy
from variants import by_default

from distreal_sim.client.client import do
from distreal_sim.client.messages import Facts, Job, Round
from distreal_sim.client.schedule import Moment
from distreal_sim.client.traffic import Traffic
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.run import run
from distreal_sim.simulation.clock.rounds import TimedFleet, known_levels, run_clock
from distreal_sim.simulation.rounds import Simulation, simulate, start
from distreal_sim.submodels.levels import Level, PerStep

FULL, HALF = 462_720, 120_768
DISTREAL = {"name": "distreal", "front": {"uniform": 2}}
HETEROFL = {"name": "heterofl", "widths": [1.0, 0.5]}


def by_hand(method: dict[str, Any], deadline_s: float, **changes: Any) -> Experiment:
    return whole_toy(
        method=method,
        deadline_s=deadline_s,
        model={"name": "small_cnn"},
        local={"steps": 4, "batch_size": 16, "lr": 0.1},
        partition={"name": "iid"},
        profile={"name": "constant", "level": 16.0 * FULL, "unit": "macs_per_s"},
        **changes,
    )


def half_takes(share: str) -> Any:
    return lambda level, full_macs: Decimal(share if level.macs_per_example < full_macs else 1)


def facts_of(folder: Path, method: dict[str, Any], deadline_s: float, share: str) -> Facts:
    """Of one client's round in which half the channels take this share of the full step's time."""
    file = file_of(folder / "cost.json", by_hand(method, deadline_s), half_takes(share))
    experiment = by_hand(method, deadline_s, cost=str(file))
    task = dataclasses.replace(build(experiment), computes=False)
    job = Job(0, Round(1, 1, 0.0, 0.1, (0,)), task.engine.export())
    return do(task, experiment.method, job).facts


def test_a_choice_before_every_step(tmp_path: Path) -> None:
    """Half takes 0.75 of the time: it is charged 347,040 MACs per example, and a step takes 0.75 s.

    t = 0: 3 s for 64 examples are 7,403,520 * 3 / 64 = 347,040 per example: half just fits. So it does at
    0.75, 1.5 and 2.25, and all 4 steps are done at 3. They compute 4 * 16 * 120,768 MACs, and are charged
    what the capacity offers in 3 s. (By MACs the last steps would be full ones.)
    """
    facts = facts_of(tmp_path, DISTREAL, 3.0, "0.75")
    assert (facts.status, facts.n_steps_done, facts.macs) == ("completed", 4, 64 * HALF)
    assert facts.metrics["charged_macs"] == 64 * 347_040 == 3 * 16 * FULL
    assert facts.sim_s == pytest.approx(3.0, rel=1e-12)


def test_a_step_that_is_not_finished(tmp_path: Path) -> None:
    """With 2.5 s nothing fits: the cheapest, half. Three steps are done at 2.25.

    The fourth gets 0.25 s, a third of its time: it is charged 7,403,520 / 4 = 1,850,880 MACs, and computes
    a third of 16 * 120,768, which is 644,096.
    """
    facts = facts_of(tmp_path, DISTREAL, 2.5, "0.75")
    assert (facts.status, facts.n_steps_done) == ("partial", 3)
    assert facts.macs == pytest.approx(48 * HALF + 644_096, abs=1)
    assert facts.metrics["charged_macs"] == pytest.approx(48 * 347_040 + 1_850_880, abs=1)


def test_a_level_that_is_no_faster_than_a_larger_one_is_never_taken(tmp_path: Path) -> None:
    """Half takes 1.1 of the time, so every step is a full one: two are done by 2.5 s, and half a third."""
    facts = facts_of(tmp_path, DISTREAL, 2.5, "1.1")
    assert (facts.status, facts.n_steps_done, facts.macs) == ("partial", 2, 40 * FULL)
    assert facts.metrics["charged_macs"] == facts.macs
    assert facts.mean_keep_rate == 1.0


@pytest.mark.parametrize(
    ("deadline_s", "expected"),
    [(4.0, ("completed", 4, 64 * FULL)), (3.0, ("completed", 4, 64 * HALF)), (2.9, ("dropped", 0, 0))],
)
def test_a_choice_at_the_start(tmp_path: Path, deadline_s: float, expected: tuple[Any, ...]) -> None:
    """4 full steps take 4 s, those of half 3 s; with less than that the client skips the round."""
    facts = facts_of(tmp_path, HETEROFL, deadline_s, "0.75")
    assert (facts.status, facts.n_steps_done, facts.macs) == expected


def test_charges_are_rounded_up(tmp_path: Path) -> None:
    """0.3333 * 462,720 = 154,224.576: 154,225 per example."""
    facts = facts_of(tmp_path, HETEROFL, 3.0, "0.3333")
    assert facts.metrics["charged_macs"] == 64 * 154_225


ids = pytest.mark.parametrize(
    "method",
    by_default(METHODS, [m for m in METHODS if m["name"] in KINDS]),
    ids=lambda m: "-".join(map(str, m.values())),
)


@ids
def test_shares_of_macs_change_nothing(method: dict[str, Any], tmp_path: Path) -> None:
    """A file whose shares are those of the MACs gives the tables of a run without it, to the byte, and what
    is charged are the MACs.
    """
    plain = toy(method=method, rounds=2)
    file = file_of(tmp_path / "cost.json", plain, macs_shares)
    by_macs = run(plain, tmp_path / "macs", grid="serial", warn=str)
    by_time = run(toy(method=method, rounds=2, cost=str(file)), tmp_path / "time", grid="serial", warn=str)
    tables = []
    for kind in (by_macs, by_time):
        rounds = pd.read_csv(kind.path / "rounds.csv", dtype=str, keep_default_na=False)
        tables.append((rounds, kind.clients))
    (rounds, clients), (timed_rounds, timed_clients) = tables
    assert timed_rounds["charged_macs"].astype(float).tolist() == rounds["macs"].astype(float).tolist()
    assert timed_clients["charged_macs"].tolist() == clients["macs"].tolist()
    pd.testing.assert_frame_equal(timed_rounds.drop(columns="charged_macs"), rounds)
    pd.testing.assert_frame_equal(timed_clients.drop(columns="charged_macs"), clients)
    models = [(kind.path / "model.safetensors").read_bytes() for kind in (by_macs, by_time)]
    assert models[0] == models[1]


def drawn(seed: int) -> Any:
    """Shares between 0.05 and 1.3 that do not grow with the MACs, the same for the same level."""

    def share(level: Level, full_macs: int) -> Decimal:
        if level.macs_per_example == full_macs:
            return Decimal(1)
        rng = np.random.default_rng([seed, level.macs_per_example])
        return Decimal(repr(round(float(rng.uniform(0.05, 1.3)), 4)))

    return share


@pytest.mark.parametrize(
    "overrun", ["partial", *(pytest.param(other, marks=pytest.mark.slow) for other in ("drop", "wait"))]
)
@ids
def test_many_clients_at_once(method: dict[str, Any], overrun: str, tmp_path: Path) -> None:
    """The same rows as from `train`, to the last bit, where methods say what their clients choose from; and
    the bookkeeping holds.
    """
    assert_alike(method, overrun, tmp_path, drawn(1))


def test_many_clients_with_a_front_of_shares(tmp_path: Path) -> None:
    """As above: what counts is the share of an entry times its charge. Thinned steps take 0.3 of the time."""
    front = front_of_shares(tmp_path / "front.json")
    assert_alike({"name": "distreal", "front": str(front)}, "partial", tmp_path, half_takes("0.3"))


def test_shares_of_charges() -> None:
    """Levels of 100 and 40 MACs that take the time of 100 and 90: for half of the examples the charges are 50
    and 45 for each planned one, so 47 is enough for the second alone, and 89 not for all examples with it.
    """
    nothing = Traffic(0, 0)
    thin = Level((4,), 40, nothing, charged_macs=90, share=0.5)
    full = Level((8,), 100, nothing, charged_macs=100, share=0.5)
    levels = PerStep((thin, full, dataclasses.replace(thin, share=1.0), dataclasses.replace(full, share=1.0)))
    assert [level.planned_charge for level in levels.levels] == [45, 50, 90, 100]
    picks = [levels.now(Moment(0.0, 1.0, budget, [1]), thin) for budget in (10, 47, 60, 89, 91, 101)]
    assert [levels.levels.index(pick) for pick in picks] == [0, 0, 1, 1, 2, 3]


def assert_alike(method: dict[str, Any], overrun: str, tmp_path: Path, share_of: ShareOf) -> None:
    changes = {
        "method": method,
        "overrun": overrun,
        "profile": {"name": "markov", "levels": [0.01, 0.3, 1.5, 4], "changes_per_round": 2.3},
        "link": {"name": "constant", "download_bytes_per_s": 50_000, "upload_bytes_per_s": 20_000},
        "rounds": 3,
    }
    file = file_of(tmp_path / "cost.json", whole_toy(**changes), share_of)
    experiment = whole_toy(**changes, cost=str(file))
    run(experiment, tmp_path / "run", training=False, verify=True, warn=str)
    task = dataclasses.replace(build(experiment), computes=False)
    if known_levels(experiment.method, task) is None:
        return
    at_once, alone = Rows(), Rows()
    run_clock(experiment, task, start(experiment, task), at_once)
    fleet = TimedFleet(task, experiment.method)
    simulate(Simulation(experiment, task, fleet, alone), start(experiment, task))
    assert [repr(row) for row in at_once.rounds] == [repr(row) for row in alone.rounds]
    assert [repr(row) for row in at_once.clients] == [repr(row) for row in alone.clients]
    assert any(row.metrics["charged_macs"] != row.macs for row in alone.clients) or method["name"] in (
        "fedavg",
        "fedprox",
        "fednova",
    )


def test_the_bookkeeping_holds_while_training(tmp_path: Path) -> None:
    file = file_of(tmp_path / "cost.json", whole_toy(), drawn(2))
    run(whole_toy(cost=str(file)), tmp_path / "run", grid="serial", verify=True, warn=str)


@pytest.mark.parametrize(
    "name", ["heterofl", "federated_dropout", "fedrolex", "fjord", "cocofl", "slt", "depthfl"]
)
@pytest.mark.parametrize(("share", "fits"), [("0.4", True), ("0.6", False)])
def test_time_decides_what_fits(name: str, share: str, fits: bool, tmp_path: Path) -> None:
    """All levels but the full network take the same time, for which 2 s of 4 are enough or not.

    By MACs some would fit with 0.6 too, and with 0.4 a client of cocofl could not train the windows that cost
    more than half. A client that completes its 4 batches is charged 0.4 * 462,720 = 185,088 MACs an example.
    """
    facts = facts_of(tmp_path, {"name": name}, 2.0, share)
    assert (facts.status == "completed") == fits
    assert facts.metrics["charged_macs"] == (64 * 185_088 if fits else 0)
    if name == "cocofl" and fits:
        assert facts.macs > 32 * FULL
