"""Selections that ask clients first: what they hear, and what it costs, derived by hand."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import Played, Rows, model_bytes
from runs.compare import assert_same_results
from toys import toy, toy_fleet
from worlds import played, world

from distreal_sim.base.errors import InputError
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.inspection.rows import method_rows
from distreal_sim.planning.replay import replay
from distreal_sim.run import run
from distreal_sim.simulation.rounds import Simulation, play_round, start

STEP = 16 * 1280
"""MACs of a step of 16 examples: 640 forward and 640 for the gradient of the weight; 2,600 bytes of model."""


def asked(lasts_s: list[float], selection: dict[str, Any], **changes: Any) -> Experiment:
    return world(
        lasts_s,
        {"name": "rounds"},
        **{"rounds": 1, "clients_per_round": 1, "selection": selection, **changes},
    )


def pow_d(**options: Any) -> dict[str, Any]:
    return {"name": "power_of_choice", "candidates": 3, "evaluate": "all", **options}


def costs(run: Played) -> list[tuple[Any, ...]]:
    return [
        (row.client_id, row.status, row.sim_s, row.macs, row.metrics["asked_macs"], row.upload_bytes)
        for row in run.clients
    ]


def losses(run: Played) -> np.ndarray:
    """The loss of the first model on each client's examples, by torch alone."""
    task = run.task
    task.module.load_state_dict({n: torch.tensor(np.array(a)) for n, a in run.states[0].arrays.items()})
    found = []
    for client_id in range(len(task.split)):
        x, y = task.batch(task.data.train, task.split[client_id])
        found.append(F.cross_entropy(task.module(x), y).item())
    return np.array(found)


def test_pow_d_selects_the_highest_loss_and_charges_the_question() -> None:
    """Steps of 1, 2 and 4 s; a forward pass is half a step, so the last loss comes after 2 s.

    Whoever is selected begins then. All were sent the model once, and sent 4 bytes.
    """
    run = played(asked([1, 2, 4], pow_d()), trained=True)
    (chosen,) = [row.client_id for row in run.clients if row.status == "completed"]
    assert chosen == losses(run).argmax()
    expected = [(c, "asked", t / 2, STEP // 2, STEP // 2, 4) for c, t in enumerate((1, 2, 4))]
    own_s = (1, 2, 4)[chosen]
    expected[chosen] = (chosen, "completed", 2 + own_s, STEP + STEP // 2, STEP // 2, 4 + 2600)
    assert costs(run) == expected
    row = run.rounds[0]
    assert (row.n_selected, row.n_completed, row.n_dropped) == (1, 1, 0)
    assert (row.download_bytes, row.upload_bytes) == (3 * 2600, 3 * 4 + 2600)
    assert row.more["asked_macs"] == 3 * STEP // 2


def test_cpow_d_evaluates_one_mini_batch() -> None:
    """8 of 16 examples: a quarter of a step."""
    local = {"epochs": 1, "batch_size": 8, "lr": 0.1}
    run = played(asked([1, 2, 4], pow_d(evaluate="batch"), local=local), trained=True)
    assert [row.metrics["asked_macs"] for row in run.clients] == [STEP // 4] * 3
    assert max(row.sim_s for row in run.clients if row.status == "asked") <= 1


def test_the_server_does_not_wait_for_the_last_answer() -> None:
    """1 s of 8: client 2 would answer after 2 s. It has done a half of its pass, and is not selected."""
    run = played(asked([1, 2, 4], pow_d(wait=0.125)), trained=True)
    assert costs(run)[2] == (2, "asked", 1.0, STEP // 4, STEP // 4, 0)
    chosen = next(row for row in run.clients if row.status == "completed")
    assert chosen.client_id == losses(run)[:2].argmax()
    assert chosen.sim_s == 1 + (1, 2)[chosen.client_id]


def test_who_is_selected_and_late_is_lost() -> None:
    """Client 0 of one: 3 s of question, 6 s of step, deadline 8 s: a row with both, and nothing of use."""
    run = played(asked([6], pow_d(candidates=1), overrun="drop"), trained=True)
    assert costs(run) == [(0, "dropped", 8.0, STEP // 2 + int(STEP * 5 / 6), STEP // 2, 4)]
    assert model_bytes(run.states[1]) == model_bytes(run.states[0])


def test_clients_in_a_chain_wait_for_the_answers_once() -> None:
    """Losses come after 1 and 2 s, client 0 trains from 2 to 4 s, and client 1 after it from 4 to 8 s."""
    method = {
        "name": "astraea",
        "gamma": 2,
        "shuffle": False,
        "grouping": "random",
        "rare": None,
        "common": None,
    }
    changes: dict[str, Any] = {"clients_per_round": 2, "method": method, "overrun": "wait"}
    run = played(asked([2, 4], pow_d(candidates=1), **changes), trained=True)
    assert [(row.client_id, row.metrics["waited_s"], row.sim_s) for row in run.clients] == [
        (0, 0, 4),
        (1, 4, 8),
    ]
    assert run.rounds[0].sim_s == 8


def test_inner_product_charges_everybody_a_gradient() -> None:
    """A gradient is a step here: 1, 2 and 3 s, 2,600 bytes up; the selected one trains from 3 s on."""
    run = played(asked([1, 2, 3], {"name": "inner_product"}), trained=True)
    by_status = {status: [r for r in run.clients if r.status == status] for status in ("asked", "completed")}
    assert [len(rows) for rows in by_status.values()] == [2, 1]
    for row in by_status["asked"]:
        assert (row.macs, row.upload_bytes, row.sim_s) == (STEP, 2600, pytest.approx(row.client_id + 1))
    (row,) = by_status["completed"]
    assert (row.macs, row.upload_bytes, row.sim_s) == (2 * STEP, 5200, pytest.approx(3 + row.client_id + 1))


@pytest.mark.parametrize("selection", [pow_d(), {"name": "inner_product"}])
def test_timing_alone_charges_the_same(selection: dict[str, Any]) -> None:
    """All are asked and all selected, so that the choice, which needs a model, does not matter."""
    experiment = asked([1, 2, 3], selection, clients_per_round=3, rounds=2)
    timed, trained = costs(played(experiment)), costs(played(experiment, trained=True))
    assert timed == trained
    assert len(timed) == 6


@pytest.mark.parametrize("selection", [pow_d(), {"name": "inner_product"}])
def test_messages_give_what_calls_give(selection: dict[str, Any]) -> None:
    experiment = asked([1, 2, 3, 1.5], selection, clients_per_round=2, rounds=2, method={"name": "folb"})
    whole = played(experiment, trained=True)
    task, fleet = toy_fleet(experiment)
    progress, rows = start(experiment, task), Rows()
    for state in whole.states[1:]:
        progress, _ = play_round(Simulation(experiment, task, fleet, rows), progress)
        assert model_bytes(progress.state) == model_bytes(state)
    assert repr(rows.clients) == repr(whole.clients)


def test_refused_settings() -> None:
    with pytest.raises(InputError, match="delays a round, and coordination fedbuff has none"):
        world([1, 2], {"name": "fedbuff", "buffer": 1}, selection={"name": "inner_product"})
    with pytest.raises(InputError, match="what clients spend on its questions is not counted"):
        asked([1, 2], pow_d(), energy={"name": "per_mac", "joules_per_mac": 1e-9})
    world([1, 2], {"name": "fedbuff", "buffer": 1}, selection={"name": "power_of_choice"})


def test_check_says_that_it_leaves_the_questions_out_and_plan_counts_them(tmp_path: Path) -> None:
    """Three clients are asked in each of two rounds: half a step of each."""
    experiment = asked([1, 2, 4], pow_d(), rounds=2)
    task = build(experiment)
    lines = [text for label, text in islice(method_rows(experiment, task, []), 5) if label == "selection"]
    assert "not in the figures of round 1" in lines[1]
    assert replay(experiment, task, tmp_path / "out").rounds["asked_macs"].tolist() == [3 * STEP // 2] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize("selection", [pow_d(), {"name": "inner_product"}])
def test_ray_gives_what_serial_gives(selection: dict[str, Any], tmp_path: Path) -> None:
    experiment = toy(selection=selection)
    run(experiment, tmp_path / "serial", grid="serial")
    run(experiment, tmp_path / "ray", grid="ray", n_workers=2)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")
