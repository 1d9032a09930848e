"""Networks that draw from global generators, or keep something themselves: the same bytes, or refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounds import Rows, model_bytes
from toys import toy, toy_fleet

from distreal_sim.base.errors import InputError
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.run import run
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.rounds import Simulation, play_round, start

from .compare import assert_same_results

REASONS = {
    "nets.Averaging": "average",
    "nets.Counting": "calls",
    "nets.Whimsical": "global generator of random",
}
"""What a refusal must name."""


def experiment(network: str, **changes: Any) -> Experiment:
    return toy(model={"name": network}, method={"name": "distreal", "drop_linear": True}, **changes)


def outcome(tried: Experiment, task: Task, fleet: Fleet) -> tuple[Any, ...]:
    progress, rows = start(tried, task), Rows()
    for _ in range(2):
        progress, _ = play_round(Simulation(tried, task, fleet, rows), progress)
    return model_bytes(progress.state), repr(rows.rounds), repr(rows.clients)


def unsettle() -> None:
    """Moves all global generators on, as other code of a process would."""
    random.random(), np.random.rand(), torch.rand(1)


@pytest.mark.parametrize("network", REASONS)
def test_the_same_in_every_process(network: str) -> None:
    """Two fresh tasks, and one that has played before, without messages and with them; or all refused."""
    tried, reason = experiment(network), None
    try:
        task, through_messages = toy_fleet(tried)
    except InputError as error:
        reason = str(error)
    if reason is not None:
        assert REASONS[network] in reason
        return
    expected = outcome(tried, task, through_messages)
    unsettle()
    fresh, _ = toy_fleet(tried)
    unsettle()
    assert outcome(tried, fresh, SerialFleet(fresh, tried.method)) == expected
    task.engine.load({name: p.detach().numpy() for name, p in task.module.named_parameters()})
    assert outcome(tried, task, SerialFleet(task, tried.method)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("network", REASONS)
def test_serial_ray_and_resumed_runs(network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of three runs: in this process, on two workers, and stopped after two of four rounds."""
    tried = experiment(network)
    try:
        run(tried, tmp_path / "serial", grid="serial")
    except InputError:
        with pytest.raises(InputError):
            run(tried, tmp_path / "ray", grid="ray", n_workers=2)
        return
    run(tried, tmp_path / "ray", grid="ray", n_workers=2)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")

    def stop(row: Any) -> None:
        if row.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tried, tmp_path / "resumed", grid="serial", callbacks=[stop])
    unsettle()
    run(tried, tmp_path / "resumed", grid="serial", resume=True)
    assert_same_results(tmp_path / "serial", tmp_path / "resumed")
