"""The global model on each client's own examples: who holds out what, and what rounds.csv says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from toys import NEXT_TOKEN, toy, toy_fleet

from distreal_sim import run
from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.data.own_tests import hold_out_of_each
from distreal_sim.data.partitions import Split
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.simulation.callbacks import StopRun
from distreal_sim.simulation.client_scores import device_classes, summary, tested_clients
from distreal_sim.simulation.rounds import start
from distreal_sim.simulation.rows import RoundRow
from distreal_sim.thinning.statistics import outputs_in_test

tested_clients.__test__ = False  # type: ignore[attr-defined]  # no test, in spite of its name


def test_each_client_holds_out_of_its_own() -> None:
    """Of 10, 1, 2 and 3 examples at a share of 0.3: 3, none, 1 and 1 (0.9 rounded); nothing is lost."""
    sizes = np.array([10, 1, 2, 3])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    split = Split(np.arange(100, 116), offsets)
    kept, held = hold_out_of_each(split, 0.3, np.random.default_rng(1))
    assert held.sizes.tolist() == [3, 0, 1, 1]
    for client in range(4):
        both = [*kept[client].tolist(), *held[client].tolist()]
        assert sorted(both) == split[client].tolist()
    other = hold_out_of_each(split, 0.3, np.random.default_rng(2))[1]
    assert held.order.tolist() != other.order.tolist()


def test_summary_by_hand() -> None:
    """Accuracies 0.0, 0.1, ... 1.0: mean 0.5, the worst two of eleven have 0.05; losses are worst where they
    are highest, 1.0 and 0.9. A client without a value does not count.
    """
    rows: list[dict[str, Any]] = [
        {"device_class": "slow" if i < 2 else "fast", "accuracy": i / 10, "loss": i / 10} for i in range(11)
    ]
    rows.append({"device_class": "slow", "accuracy": float("nan"), "loss": 0.5})
    found = summary(rows, {"accuracy": "higher", "loss": "lower"})
    assert found["clients_accuracy"] == pytest.approx(0.5)
    assert found["clients_accuracy_worst"] == pytest.approx(0.05)
    assert found["clients_accuracy_slow"] == pytest.approx(0.05)
    assert found["clients_accuracy_fast"] == pytest.approx(0.6)
    assert found["clients_accuracy_middle"] is None
    assert found["clients_loss_worst"] == pytest.approx(0.95)


def test_the_clients_together_are_all_held_out_examples() -> None:
    """Sums over clients are those of one pass over all of them; by messages and in this process alike. Nobody
    trains on what is held out.
    """
    experiment = toy(evaluation={"clients": "all"}, method={"name": "fedavg"})
    task, fleet = toy_fleet(experiment)
    assert task.own_tests is not None
    assert not set(task.own_tests.order.tolist()) & set(task.split.order.tolist())
    arrays = start(experiment, task).state.arrays
    statistics = fleet.statistics(arrays, 1, [0, 1, 2])
    found = fleet.evaluate_clients(arrays, statistics, 1)
    assert found == SerialFleet(task, experiment.method).evaluate_clients(arrays, statistics, 1)
    assert list(found) == tested_clients(task) == [c for c in range(12) if task.own_tests.sizes[c]]
    task.engine.load(arrays)
    x, y = task.batch(task.data.train, task.own_tests.order)
    whole = task.scoring.values(task.scoring.statistics(outputs_in_test(task.engine, statistics, x), y))
    weights = [task.own_tests.sizes[client] for client in found]
    for name, value in whole.items():
        mean = np.average([own[name] for own in found.values()], weights=weights)
        assert mean == pytest.approx(value, rel=1e-5)


def test_some_clients() -> None:
    """As many as asked for, the same in every round; the slowest third of six tiers are the slow ones."""
    tiers = {"name": "tiers", "levels": [0.3, 0.6, 2.0]}
    task = build(toy(evaluation={"clients": 6}, profile=tiers, partition={"name": "iid"}))
    clients, classes = tested_clients(task), device_classes(task)
    assert len(clients) == 6
    assert clients == sorted(classes) == tested_clients(task)
    offered = {c: task.devices.capacity(c, 0.0).offered(0.0, task.deadline_s) for c in clients}
    assert sorted(classes.values()) == ["fast"] * 2 + ["middle"] * 2 + ["slow"] * 2
    assert max(offered[c] for c in clients if classes[c] == "slow") <= min(
        offered[c] for c in clients if classes[c] == "fast"
    )


def test_columns_table_and_resume(tmp_path: Path) -> None:
    """Tests in rounds 2 and 4; the summary of rounds.csv follows from the table; a run that was cut short has
    the same bytes.
    """
    changes: dict[str, Any] = {
        **NEXT_TOKEN,
        "method": {"name": "fedavg"},
        "evaluation": {"clients": "all", "every": 2},
        "checkpoint_every": 1,
    }
    run(toy(**changes), tmp_path / "whole", grid="serial")

    def halt(row: RoundRow) -> None:
        if row.round == 3:
            raise StopRun("enough")

    run(toy(**changes), tmp_path / "cut", grid="serial", callbacks=[halt])
    run(toy(**changes), tmp_path / "cut", grid="serial", resume=True)
    for name in ("rounds.csv", "client_scores.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    table = pd.read_csv(tmp_path / "whole" / "client_scores.csv")
    columns = ["round", "client_id", "device_class", "n_examples", "accuracy", "perplexity", "loss"]
    assert list(table.columns) == columns
    assert table.groupby("round").size().to_dict() == {2: 12, 4: 12}
    rounds = pd.read_csv(tmp_path / "whole" / "rounds.csv").set_index("round")
    assert rounds["clients_loss"].notna().tolist() == [False, True, False, True]
    last = table[table["round"] == 4]
    assert rounds["clients_loss"][4] == pytest.approx(last["loss"].mean(), rel=1e-12)
    assert rounds["clients_loss_worst"][4] == pytest.approx(last["loss"].nlargest(2).mean(), rel=1e-12)
    assert rounds["clients_accuracy_fast"][4] == pytest.approx(
        last[last["device_class"] == "fast"]["accuracy"].mean(), rel=1e-12
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"partition": {"name": "bootstrap", "examples": 40}, "evaluation": {"clients": 3}},
            "evaluation.clients cannot be used with partition bootstrap, whose clients share examples",
        ),
        (
            {"evaluation": {"clients": 3, "batch_norm": "batch"}},
            "clients cannot be used with batch_norm batch",
        ),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        build(toy(method="fedavg", **changes))
