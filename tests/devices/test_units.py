"""What capacity level 1 is in each unit, what changes it, and that one client and many agree on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rounds import play
from toys import WHOLE_TOY, whole_toy

from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.devices.profiles import Unit
from distreal_sim.devices.profiles.constant import Constant
from distreal_sim.devices.units import macs_per_s_of_level_1
from distreal_sim.run import run
from distreal_sim.thinning.cost import training_macs


def task_of(unit: Unit, **changes: Any) -> Task:
    return build(whole_toy(**{"method": "fedavg", "profile": {"name": "constant", "unit": unit}, **changes}))


def test_level_1_by_hand() -> None:
    """10, 20 and 60 examples of 300 MACs in 2 s: 1,500, 3,000 and 9,000 MAC/s; the median is 3,000."""
    planned = np.array([60, 10, 20])
    relative, own = (
        macs_per_s_of_level_1(Constant(unit=u), planned, 300, 2.0) for u in ("relative", "relative_own")
    )
    assert relative == 3000.0
    assert own.tolist() == [9000.0, 1500.0, 3000.0]
    assert macs_per_s_of_level_1(Constant(unit="macs_per_s"), planned, 300, 2.0) == 1.0
    given = Constant(unit="macs_per_s", level_1_macs_per_s=7.5)
    assert macs_per_s_of_level_1(given, planned, 300, 2.0) == 7.5


@pytest.mark.parametrize(
    ("change", "relative"),
    [
        ({"local": {**WHOLE_TOY["local"], "epochs": 3}}, 3.0),
        ({"deadline_s": 20.0}, 0.5),
        ({"model": {"name": "small_cnn", "width": 16}}, 462_720 / 32_736),
        ({"method": {"name": "small", "width": 0.5}}, 1.0),
    ],
    ids=["epochs", "deadline", "width", "narrowed by the method"],
)
def test_what_rescales_level_1(change: dict[str, Any], relative: float) -> None:
    """The table of docs/reference/profiles.md: work per second of the configured network. Its MACs at widths
    4 and 16 are derived in tests/cli/test_check_inspect.py.
    """
    for unit in ("relative", "relative_own"):
        before, after = task_of(unit).devices.macs_per_s, task_of(unit, **change).devices.macs_per_s
        np.testing.assert_allclose(after, relative * before, rtol=1e-12)
    assert task_of("macs_per_s", **change).devices.macs_per_s == 1.0


@pytest.mark.parametrize("local", [{"epochs": 2}, {"steps": 3}])
def test_own_level_1_is_just_enough_for_everybody(local: dict[str, int]) -> None:
    """Constant level 1: with its own unit every client trains all of its work in exactly 10 s, and is offered
    just the MACs of it; with the median client's unit those with more work are late.
    """
    local = {**local, "batch_size": 16, "lr": 0.1}
    world: dict[str, Any] = {"local": local, "overrun": "drop", "method": {"name": "fedavg"}}
    world["dataset"] = WHOLE_TOY["dataset"]  # every client has three batches
    own = play(2, profile={"name": "constant", "unit": "relative_own"}, **world)
    full = own.task.macs_per_example(own.task.full)
    for row in own.clients:
        planned = row.n_examples * local["epochs"] if "epochs" in local else 3 * min(16, row.n_examples)
        assert (row.status, row.macs) == ("completed", planned * full)
        assert row.sim_s == pytest.approx(10.0, abs=1e-6)
        assert row.macs_available == pytest.approx(planned * full, rel=1e-12)
    if "epochs" in local:
        shared = play(2, profile={"name": "constant"}, **world)
        median = np.median(shared.task.split.sizes)
        assert {row.status for row in shared.clients if row.n_examples > median} == {"dropped"}
        assert {row.status for row in shared.clients if row.n_examples < median} == {"completed"}


def test_one_client_and_many_have_the_same_capacity_to_the_bit() -> None:
    """Levels that change inside the rounds, repeats among the clients."""
    profile = {"name": "markov", "levels": [0.1, 0.3, 1.0], "changes_per_round": 3, "unit": "relative_own"}
    task = build(whole_toy(profile=profile))
    client_ids, start_s = np.array([5, 2, 5, 9, 0]), np.array([0.0, 10.0, 20.0, 30.0, 0.0])
    many = task.devices.capacities(client_ids, start_s)
    one = [task.devices.capacity(c, t) for c, t in zip(client_ids.tolist(), start_s.tolist(), strict=True)]
    assert many.macs_per_s.tolist() == [capacity(0.0) for capacity in one]
    assert many.offered(np.full(5, 10.0)).tolist() == [capacity.offered(0.0, 10.0) for capacity in one]
    own = task.split.sizes * task.macs_per_example(task.full) / 10.0
    assert task.devices.level_1(client_ids).tolist() == own[client_ids].tolist()
    assert task.devices.median_level_1 == np.median(own)


def test_the_bookkeeping_follows_the_unit(tmp_path: Path) -> None:
    """`--verify` recomputes times and capacities by other means, and raises where they differ."""
    own = whole_toy(profile={**WHOLE_TOY["profile"], "unit": "relative_own"}, rounds=2)
    whole = run(own, tmp_path / "run", grid="serial", verify=True)
    assert json.loads((whole.path / "run.json").read_text())["level_1_macs_per_s"] == (
        build(own).devices.median_level_1
    )


def test_predictions_follow_the_unit() -> None:
    """Half of its own work is what each client does until the deadline at level 0.5."""
    task = task_of("relative_own", profile={"name": "constant", "unit": "relative_own", "level": 0.5})
    for client_id, n_examples in enumerate(task.split.sizes.tolist()):
        half = 0.5 * n_examples * task.macs_per_example(task.full)
        assert task.predicted_macs(client_id, 0.0) == pytest.approx(half, rel=1e-12)


def test_the_small_network_of_the_weakest_client_follows_the_unit() -> None:
    """Each client can do 0.2 of its own full work: the widest network with at most 0.2 of the full MACs, and
    not the narrower one that the client with the most examples could do at 0.2 of the median's work.
    """
    narrow = {unit: task_of(unit, method="small", profile={"name": "constant", "unit": unit, "level": 0.2})
              for unit in ("relative", "relative_own")}  # fmt: skip
    full = narrow["relative"].configured
    budget = 0.2 * training_macs(full, full.full_counts())
    shapes = [(max(1, (n + 2) // 4), (n + 1) // 2, n) for n in range(1, 17)]  # rounded half up
    found = {unit: task.full for unit, task in narrow.items()}
    assert training_macs(full, found["relative_own"]) <= budget
    wider = next(s for s in shapes if s > found["relative_own"])
    assert training_macs(full, wider) > budget
    assert found["relative"] < found["relative_own"]


def test_the_number_is_for_levels_in_macs_per_s() -> None:
    with pytest.raises(
        ValidationError, match=r"level_1_macs_per_s \(3\) is for unit macs_per_s, not relative_own"
    ):
        Constant(unit="relative_own", level_1_macs_per_s=3)
