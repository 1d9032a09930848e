"""Where a run's clients work: by a rule of thumb, and by what only one of the two ways can do."""

from __future__ import annotations

from typing import Any

import pytest
from toys import whole_toy

from distreal_sim.base import process
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.grids import choose as choice
from distreal_sim.grids.choose import Choice, choose

EVEN = {
    "method": {"name": "fedavg"},
    "partition": {"name": "iid"},
    "profile": {"name": "constant"},
    "n_clients": 9,
    "clients_per_round": 4,
}
"""1,437 training examples: six clients hold 160 of them and three 159, and have the time that 160 take."""


def auto(experiment: Experiment, n_workers: int | None = 2, n_cores: int = 2) -> Choice:
    return choose("auto", experiment, build(experiment), n_workers, n_cores=n_cores)


def test_prediction_is_planned_work_or_capacity() -> None:
    """Level 1 is enough for the median client's 160 examples; at level 1/4 there is time for 40."""
    for level, n_examples in ((2.0, 160), (1.0, 160), (0.25, 40)):
        experiment = whole_toy(**{**EVEN, "profile": {"name": "constant", "level": level}})
        task = build(experiment)
        client = next(c for c in range(9) if len(task.split[c]) == 160)
        full_macs = task.macs_per_example(task.structure.full_counts())
        assert task.predicted_macs(client, 0.0) == pytest.approx(n_examples * full_macs, rel=1e-9)


def test_the_rule_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rounds of four clients with 160 or 159 examples of F MACs: just at both limits the run goes to Ray,
    and stays if either is a little higher. At level 1/4 there is time for 40 examples each. Ten steps a job,
    each like ten examples more: 100 examples more.
    """
    task = build(whole_toy(**EVEN))
    full_macs = task.macs_per_example(task.full)

    def grid(run: float, job: float, steps: float = 0, **changes: Any) -> str:
        monkeypatch.setattr(choice, "STEP_MACS", steps * full_macs)
        monkeypatch.setattr(choice, "FEW_MACS", run * full_macs)
        monkeypatch.setattr(choice, "FEW_MACS_OF_A_JOB", job * full_macs)
        return auto(whole_toy(**{**EVEN, **changes}, rounds=10)).grid

    assert grid(10 * 4 * 159, 159) == "ray"
    assert grid(10 * 4 * 160 + 1, 159) == "serial"
    assert grid(10 * 4 * 159, 161) == "serial"
    assert grid(10 * 4 * 259, 259, steps=10) == "ray"
    assert grid(10 * 4 * 261, 259, steps=10) == "serial"
    quarter = {"profile": {"name": "constant", "level": 0.25}}
    assert grid(10 * 4 * 39, 39, **quarter) == "ray"
    assert grid(10 * 4 * 41, 39, **quarter) == "serial"


def test_small_rounds_stay_and_large_ones_go() -> None:
    small = auto(whole_toy())
    assert small.grid == "serial"
    assert str(small).startswith("clients run in this process: ")
    local = {"epochs": 60, "batch_size": 16}
    large = auto(whole_toy(rounds=1000, local=local, model={"name": "small_cnn", "width": 32}))
    assert (large.grid, large.n_workers) == ("ray", 2)


def test_nothing_to_choose() -> None:
    """One worker, one core or one client at a time: in this process, however long it takes."""
    long = {"rounds": 10**6, "local": {"epochs": 60, "batch_size": 16}}
    assert auto(whole_toy(**long)).grid == "ray"
    assert auto(whole_toy(**long), n_workers=1).grid == "serial"
    assert auto(whole_toy(**long), n_cores=1).grid == "serial"
    assert auto(whole_toy(**long, clients_per_round=1)).grid == "serial"


def test_what_only_ray_can_do() -> None:
    """Killing a hung client, and working on another machine."""
    assert auto(whole_toy(job_timeout_wall_s=60.0)).grid == "ray"
    assert auto(whole_toy(job_timeout_wall_s=60.0), n_workers=1).grid == "ray"
    experiment = whole_toy()
    chosen = choose("auto", experiment, build(experiment), 1, "127.0.0.1:6379")
    assert (chosen.grid, chosen.n_workers) == ("ray", 1)
    everywhere = choose("auto", experiment, build(experiment), None, "127.0.0.1:6379")
    assert everywhere.n_workers is None, "a cluster's cores are not this machine's"


def test_asking_for_one_is_getting_it() -> None:
    experiment = whole_toy(job_timeout_wall_s=60.0)
    task = build(experiment)
    assert choose("serial", experiment, task, 2).grid == "serial"
    assert choose("ray", whole_toy(), task, 2).grid == "ray"


def test_as_many_workers_as_have_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven cores have room for three workers of two, and for one that wants more than there are."""
    monkeypatch.setattr(process, "n_cores", lambda: 7)
    experiment = whole_toy()
    task = build(experiment)
    assert [choose("ray", experiment, task, num_cpus=n).n_workers for n in (1, 2, 8)] == [7, 3, 1]
    assert choose("ray", experiment, task, 2, num_cpus=8).n_workers == 2


def test_no_more_workers_than_the_job_has_cores() -> None:
    """On a machine of 64 cores a job with four of them starts four workers; with one it needs none."""
    experiment = whole_toy(rounds=10**6, local={"epochs": 60, "batch_size": 16})
    task = build(experiment)
    assert choose("ray", experiment, task, n_cores=4).n_workers == 4
    chosen = choose("auto", experiment, task, n_cores=4)
    assert (chosen.grid, chosen.n_workers) == ("ray", 4)
    assert choose("auto", experiment, task, n_cores=4, num_cpus=2).n_workers == 2
    assert choose("auto", experiment, task, n_cores=1).grid == "serial"
