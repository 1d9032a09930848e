"""Coordinations that must give what another one, or a plain loop, gives."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import Played, model_bytes
from toys import TOY, toy, whole_toy
from variants import by_default
from worlds import events, parabolas, played, weights, world

from distreal_sim.base.errors import InputError
from distreal_sim.client.client import do
from distreal_sim.client.messages import Job, Round, State
from distreal_sim.config.build import build
from distreal_sim.run import run
from distreal_sim.server.coordination._weights import deviation_weight, staleness_weight
from distreal_sim.simulation.callbacks import StopRun
from distreal_sim.simulation.rows import RoundRow

UNEQUAL = [1, 2, 4]

OF_A_JOB = ("metrics", "macs_available")


def facts(run: Played) -> list[dict[str, Any]]:
    """The clients' rows without what differs by definition: a job has a start and an end of its own."""
    return [{k: v for k, v in asdict(row).items() if k not in OF_A_JOB} for row in run.clients]


def own(row: RoundRow) -> RoundRow:
    """The row without what differs by definition."""
    return replace(row, macs_available=0.0, more={})


def assert_same(run: Played, other: Played) -> None:
    """Every model byte for byte, every row but for the columns that only jobs have."""
    assert list(map(model_bytes, run.states)) == list(map(model_bytes, other.states))
    assert facts(run) == facts(other)
    assert [own(row) for row in run.rounds] == [own(row) for row in other.rounds]


@pytest.mark.parametrize(
    "method", by_default(["fedavg", "distreal", "fedrolex", "fednova"], ["distreal", "fednova"])
)
def test_wait_all_is_rounds_that_end_early(method: str) -> None:
    """A client whose work does not fit computes until its deadline and ends there in both."""
    changes = {"method": {"name": method}, "rounds": 3}
    levels = {"name": "markov", "levels": [0.3, 1.0, 2.0], "changes_per_round": 2}
    if method == "fedrolex":  # a client that skips a round costs no time in rounds
        levels["levels"] = [1.5, 2.0, 3.0]
    by_events = whole_toy(**changes, profile=levels, coordination={"name": "wait_all"})
    in_rounds = whole_toy(**changes, profile=levels, round_end="early")
    assert_same(played(by_events, trained=True), played(in_rounds, trained=True))


@pytest.mark.parametrize("method", ["fedavg", "distreal"])
def test_a_period_of_one_deadline_is_rounds(method: str) -> None:
    """Every job ends by its own deadline, when the server merges; nobody is ever stale."""
    changes = {"method": {"name": method}, "rounds": 3}
    by_events = toy(**changes, coordination={"name": "semi_async", "period_s": TOY["deadline_s"]})
    one, other = played(by_events, trained=True), played(toy(**changes), trained=True)
    assert list(map(model_bytes, one.states)) == list(map(model_bytes, other.states))
    assert [row.sim_s for row in one.rounds] == [row.sim_s for row in other.rounds]
    assert {row.metrics["staleness"] for row in one.clients} == {0.0}


def test_first_k_of_as_many_as_start_is_wait_all() -> None:
    one = played(world(UNEQUAL, {"name": "first_k", "over": 1}), trained=True)
    assert_same(one, played(world(UNEQUAL, {"name": "wait_all"}), trained=True))


@pytest.mark.parametrize("coordination", [{"name": "fedasync", "alpha": 1}, {"name": "fedbuff", "buffer": 1}])
def test_one_asynchronous_client_is_sequential_sgd(coordination: dict[str, Any]) -> None:
    """Each job starts from what the one before it left: a plain loop over the client's jobs."""
    experiment = world([2], coordination, rounds=5, clients_per_round=1)
    one = played(experiment, trained=True)
    task = build(experiment)
    state = State(task.engine.export())
    for number in range(1, 6):
        now = Round(number, 5, 2.0 * (number - 1), 0.1)
        state = State(do(task, experiment.method, Job(0, now, state.arrays)).arrays)
        assert model_bytes(one.states[number]) == model_bytes(state)
    assert_same(one, played(toy_rounds(experiment, round_end="early"), trained=True))


def toy_rounds(experiment: Any, **changes: Any) -> Any:
    """The same experiment in rounds."""
    values = {**experiment.resolved(), "coordination": {"name": "rounds"}, **changes}
    return toy(**values)


@pytest.mark.parametrize(("n_clients", "n_per_round"), [(3, 3), (6, 3)])
def test_fedbuff_with_equal_speeds_and_a_buffer_of_all_is_fedavg(n_clients: int, n_per_round: int) -> None:
    """Buffer = clients at work = cohort: all arrive at once, and all start again, or others do."""
    experiment = world(
        [2] * n_clients, {"name": "fedbuff", "buffer": n_per_round}, clients_per_round=n_per_round
    )
    one = played(experiment, trained=True)
    assert_same(one, played(toy_rounds(experiment, round_end="early"), trained=True))


def test_a_buffer_dilutes_what_some_trained() -> None:
    """Of two clients that weigh the same one has half of the channels. What both trained moves as far, and
    what one trained half as far, as where only those count that trained it; what nobody trained stays.
    """
    changes: dict[str, Any] = {
        "method": {"name": "heterofl", "widths": [1.0, 0.5], "mask_labels": False},
        "model": {"name": "small_cnn", "width": 4},
        "merge": {"weight": "clients"},
        "rounds": 1,
    }
    fedbuff = {"name": "fedbuff", "buffer": 2}
    coverage, dilute = (
        played(world([6, 16], {**fedbuff, "buffer_merge": how}, **changes), trained=True)
        for how in ("coverage", "dilute")
    )
    assert [row.client_id for row in dilute.clients if row.status == "completed"] == [0, 1]
    ratios = []
    for name, before in coverage.states[0].arrays.items():
        far, near = (run.states[1].arrays[name] - before.astype(float) for run in (coverage, dilute))
        assert (near[far == 0] == 0).all()
        ratios.append((near[np.abs(far) > 1e-3] / far[np.abs(far) > 1e-3]).ravel())
    found = np.concatenate(ratios)
    is_half = np.isclose(found, 0.5, atol=1e-3)
    assert (is_half | np.isclose(found, 1.0, atol=1e-3)).all()
    assert 0.2 < is_half.mean() < 0.95


def test_training_changes_no_time() -> None:
    """The events of a run that only times its jobs are those of one that trains."""
    experiment = world(UNEQUAL, {"name": "fedbuff", "buffer": 2}, rounds=6)
    assert events(played(experiment)) == events(played(experiment, trained=True))


@pytest.mark.parametrize("buffer", [1, 2, 5])
def test_mean_staleness(buffer: int) -> None:
    """With M at work and K arrivals a step the mean staleness is (M - 1) / K in the long run, at any speeds.

    Each step but the last ages the M - 1 jobs that are running then by one, so the staleness of all jobs,
    those at work at the end included, adds up to (steps - 1) (M - 1); the arrivals are K x steps.
    """
    lasts_s = [1.0, 1.237, 1.713, 2.549, 4.021, 7.003]  # never two at once
    run = played(world(lasts_s, {"name": "fedbuff", "buffer": buffer}, rounds=20))
    assert sum(row.metrics["staleness"] for row in run.clients) == 19 * 5
    assert sum(not row.metrics["cancelled"] for row in run.clients) == 20 * buffer


def test_throughput() -> None:
    """Jobs of 1, 2 and 4 s: 1.75 updates a second; with a buffer of 7, a step every 4 s, and with one of 2,
    7 steps in 8 s. A server that waits for all takes 2.
    """
    run = played(world(UNEQUAL, {"name": "fedbuff", "buffer": 7}, rounds=5))
    assert [row.sim_s for row in run.rounds] == [4, 8, 12, 16, 20]
    for coordination, steps in (({"name": "fedbuff", "buffer": 2}, 7), ({"name": "wait_all"}, 2)):
        assert played(world(UNEQUAL, coordination, rounds=steps)).rounds[-1].sim_s == 8


def test_weights_of_stale_updates() -> None:
    """(1 + 3)^-1/2 = 1/2; 1 / (10 (5 - 4) + 1) = 1/11, and 1 at the hinge."""
    assert staleness_weight("polynomial", 0.5, 4, 3) == 0.5
    assert staleness_weight("polynomial", 0.5, 4, 0) == 1
    assert staleness_weight("polynomial", 0, 4, 7) == 1
    assert staleness_weight("hinge", 10, 4, 4) == 1
    assert staleness_weight("hinge", 10, 4, 5) == 1 / 11
    assert staleness_weight("constant", 10, 4, 99) == 1


def test_weights_of_deviating_updates() -> None:
    """0.65 / 2 + 0.35 (1 - 1 / e) = 0.325 + 0.2212; 0.65 / 4 + 0.35 (1 - e^-1/2) = 0.1625 + 0.1377.

    So one fresh update and one stale one, which deviates most, weigh 0.647 and 0.353.
    """
    assert deviation_weight(0.35, 1, 1.0) == pytest.approx(0.5462, abs=5e-5)
    assert deviation_weight(0.35, 3, 0.5) == pytest.approx(0.3002, abs=5e-5)
    assert deviation_weight(0.35, 0, 0.5) == 1
    assert 1 / (1 + deviation_weight(0.35, 1, 1.0)) == pytest.approx(0.647, abs=5e-4)
    with pytest.raises(InputError, match="fedasync merges each by itself"):
        world([1], {"name": "fedasync", "staleness": "deviation"})


def test_late_updates_are_weighed_by_their_deviations() -> None:
    """A merge every 8 s. Client 0 takes 4 s and wants w = 1; clients 1 and 2 take 12 s and want -3 and -1.

    A step of lr 0.1 moves w by 0.2 of its way. Step 1 merges client 0's 0.2. In step 2 client 0 brings
    0.2 x 0.8 = 0.16, and the others, which started from 0, -0.6 and -0.2: 0.76 and 0.36 away from it.
    """
    semi_async = {"name": "semi_async", "period_s": 8.0, "staleness": "deviation"}
    speeds = {"name": "worlds.Speeds", "of": [2.0, 8 / 12, 8 / 12]}
    changes = {"coordination": semi_async, "profile": speeds, "overrun": "wait", "rounds": 2}
    found = weights(parabolas([1.0, -3.0, -1.0], [1.0] * 3, **changes))
    far, near = (0.325 + 0.35 * (1 - math.exp(-((d / 0.76) ** 2))) for d in (0.76, 0.36))
    change = (0.16 - far * 0.6 - near * 0.2) / (1 + far + near)
    assert np.ravel(found) == pytest.approx([0, 0.2, 0.2 + change])


class Stop:
    """Stops a run after a step."""

    def __init__(self, after: int) -> None:
        self.after, self.__name__ = after, "stop"

    def __call__(self, row: Any) -> None:
        if row.round == self.after:
            raise StopRun("enough")


@pytest.mark.parametrize(
    "coordination",
    [{"name": "fedbuff", "buffer": 2}, {"name": "fedasync"}, {"name": "semi_async", "period_s": 3.0}],
)
def test_a_resumed_run_has_the_same_bytes(coordination: dict[str, Any], tmp_path: Path) -> None:
    """Jobs were running at the checkpoint, from different models; clients remember."""
    experiment = world(
        UNEQUAL, coordination, rounds=9, checkpoint_every=2, method={"name": "misbehaving.Remembering"}
    )
    whole = run(experiment, tmp_path / "whole", grid="serial", verify=True)
    run(experiment, tmp_path / "part", grid="serial", callbacks=[Stop(4)])
    part = run(experiment, tmp_path / "part", grid="serial", resume=True)
    for name in ("rounds.csv", "model.safetensors"):
        assert (whole.path / name).read_bytes() == (part.path / name).read_bytes()
    assert whole.clients.equals(part.clients)
