"""Plans: the numbers of a trained run without the training, side by side, and the deadline that is needed."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from command import distreal_sim
from toys import TOY, toy

import distreal_sim as ds
from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.planning import replay
from distreal_sim.planning.replay import deadline_for, picked

UNTRAINED = ["train_loss", "test_accuracy", "test_loss", "submodel_accuracy", "submodel_loss"]
"""Columns that depend on the training."""


@pytest.mark.parametrize("method", ["distreal", "fedavg", "fjord"])
def test_the_columns_of_a_trained_run(method: str, tmp_path: Path) -> None:
    """All that do not depend on training, exactly: of rounds and of clients."""
    changes = {"rounds": 4, "method": {"name": method}}
    trained = ds.run(TOY, tmp_path / "trained", grid="serial", **changes)
    (planned,) = ds.plan(TOY, **changes).runs
    for ours, theirs in ((planned.rounds, trained.rounds), (planned.clients, trained.clients)):
        known = [name for name in theirs.columns if name not in UNTRAINED]
        pd.testing.assert_frame_equal(ours[known], theirs[known], check_exact=True)


def test_methods_side_by_side(tmp_path: Path) -> None:
    """Shares of three sums of a trained run's tables; the experiment's own method keeps its options."""
    plan = ds.plan(TOY, tmp_path / "out", methods=["heterofl", "fedavg"], rounds=5)
    assert list(plan.table["label"]) == ["heterofl", "fedavg"] == [run.label for run in plan.runs]
    for row, run in zip(plan.table.to_dict("records"), plan.runs, strict=True):
        status = list(run.clients["status"])
        assert row["completed"] == pytest.approx(status.count("completed") / len(status))
        assert row["partial"] == pytest.approx(status.count("partial") / len(status))
        assert row["completed"] + row["partial"] + row["lost"] == pytest.approx(1)
        assert row["macs_offered"] == pytest.approx(run.clients["macs_available"].sum())
        assert row["macs_used"] == pytest.approx(run.clients["macs"].sum() / row["macs_offered"])
        assert row["upload_bytes"] == run.clients["upload_bytes"].sum()
    assert [run.path.parent for run in plan.runs] == [tmp_path / "out"] * 2
    assert len(plan.plot().axes) == 3, "two panels and the colour bar"
    with pytest.raises(InputError, match=r"unknown kind of figure 'timelin'; did you mean 'timeline'"):
        plan.plot("timelin")
    shares = plan.picked.groupby("label")["steps_share"].sum()
    assert list(shares) == pytest.approx([1, 1])
    (own,) = ds.plan(TOY, methods=["heterofl"], method={"name": "heterofl", "widths": [0.5, 1.0]}).runs
    assert own.config["method"]["widths"] == [0.5, 1.0]


def test_the_sub_networks_that_are_picked() -> None:
    """Clients of level 0.26 to 0.9 train HeteroFL's half width and nothing else; a step of 3 layers, all of
    whose channels are halved, keeps half of each group.
    """
    experiment = toy(
        method={"name": "heterofl", "widths": [0.5, 1.0]},
        profile={"name": "tiers", "levels": [0.5, 0.9]},
        local={"epochs": 1, "batch_size": 4},
        partition={"name": "iid"},
    )
    task = build(experiment)
    found = picked(experiment, task)
    half = tuple(c // 2 for c in task.full)
    assert list(found["steps_share"]) == [1.0]
    assert list(found["macs_share"]) == [task.macs_per_example(half) / task.macs_per_example(task.full)]
    assert list(found["kept"]) == [(0.5,) * len(task.full)]


def test_sub_networks_of_one_cost_are_not_mistaken_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps cost the full network's MACs; a second level of this cost would have other channels."""
    experiment = toy(method="fedavg", profile={"name": "constant", "level": 5.0})
    task = build(experiment)
    assert list(picked(experiment, task)["kept"]) == [(1.0, 1.0, 1.0)]
    full = task.macs_per_example(task.full)
    levels = [SimpleNamespace(macs_per_example=full, counts=counts) for counts in (task.full, (1, 2, 3))]
    monkeypatch.setattr(replay, "known_levels", lambda method, task: SimpleNamespace(levels=levels))
    assert list(picked(experiment, task)["kept"]) == [None]


def test_the_deadline_that_a_share_of_the_clients_needs() -> None:
    """Equal data; level 1 does the whole work in deadline_s, 10 s. Of levels 1, 0.5, 0.25 and 0.1, a quarter
    of the clients each, all but the weakest are done in 40 s, and all in 100 s; none without capacity.
    """

    def needed(levels: list[float], completion: float) -> float:
        experiment = toy(
            method={"name": "fedavg"},
            partition={"name": "iid"},
            profile={"name": "tiers", "levels": levels},
            deadline_s=10,
            n_clients=4,
            clients_per_round=4,
        )
        return deadline_for(experiment, build(experiment), completion)

    assert needed([1, 0.5, 0.25, 0.1], 0.75) == pytest.approx(40, rel=0.03)
    assert needed([1, 0.5, 0.25, 0.1], 1.0) == pytest.approx(100, rel=0.03)
    assert needed([8, 8, 8, 8], 1.0) == pytest.approx(1.25, rel=0.03)
    assert math.isnan(needed([1, 1, 1, 0], 1.0))


@pytest.mark.slow
def test_no_deadline_helps() -> None:
    """Three quarters of the clients have 1 byte, so that not nine tenths complete. Clients that lose their
    work when they leave, after 1 s of 100 or more that it takes them, do not complete it with any deadline;
    the search for one ends. Where nobody is ever there, no deadline is the shortest.
    """
    small = {"memory": {"name": "tiers", "sizes_bytes": [1, 1e9], "weights": [3, 1]}, "rounds": 3}
    leaving = {"name": "markov", "there_s": 1.0, "away_s": 1.0, "when": "drop"}
    slow = {"profile": {"name": "constant", "level": 0.01}, "method": {"name": "fedavg"}, "rounds": 2}
    absent = {"availability": {"name": "random", "share": 1e-9}, "rounds": 2}
    for changes in (small, {**slow, "availability": leaving}, absent):
        experiment = toy(**changes)
        assert math.isnan(deadline_for(experiment, build(experiment), 0.9))


def test_a_sweep_is_planned_cell_by_cell(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    sweep = {"base": "toy.yaml", "grid": {"method.name": ["fedavg", "heterofl"]}, "seeds": [1, 2]}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    done = distreal_sim("plan", "sweep.yaml", cwd=tmp_path)
    assert done.code == 0, done.stderr
    for method in ("fedavg", "heterofl"):
        for seed in (1, 2):
            assert f"{method}, seed {seed}" in done.stdout
    with pytest.raises(InputError, match=r"sweep\.yaml is a sweep, whose cells are compared"):
        ds.plan(tmp_path / "sweep.yaml", methods=["fedavg"])


def test_worlds_in_which_a_comparison_says_little() -> None:
    """Nobody finishes; a method that thins has no reason to; nothing is merged for many rounds."""
    slow = ds.plan(TOY, method={"name": "fedavg"}, profile={"name": "constant", "level": 0.5}, rounds=3)
    assert "selected clients completed its work; all that was merged is partial" in slow.warnings[0]
    strong = ds.plan(TOY, method={"name": "heterofl"}, profile={"name": "constant", "level": 9}, rounds=3)
    assert "method heterofl never thinned" in strong.warnings[-1]
    never = ds.plan(TOY, method={"name": "fedavg"}, profile={"name": "constant", "level": 0}, rounds=3)
    assert "nothing was merged in any of the 3 rounds" in never.warnings[-1]
    energy = {"name": "per_mac", "joules_per_mac": 1e-6}
    down = {"name": "idle", "capacity_j": 1, "start": 0.1, "charge_w": 0}
    flat = ds.plan(TOY, method={"name": "fedavg"}, energy=energy, battery=down, rounds=3)
    assert "100 % of the selected clients had no battery left" in flat.warnings[-1]


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_completion_is_a_share(share: float) -> None:
    with pytest.raises(InputError, match="completion"):
        ds.plan(TOY, completion=share)


def test_a_plan_prints_both_tables() -> None:
    done = distreal_sim("plan", "configs/digits.yaml", "rounds=2", "--methods", "distreal,fedavg", cwd=Path())
    assert done.code == 0, done.stderr
    assert "2 rounds without training" in done.stdout
    assert "90 % in" in done.stdout
    assert "sub-networks of the finished steps" in done.stdout
