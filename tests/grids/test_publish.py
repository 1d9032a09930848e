"""A model that goes out to many clients is encoded once, and nobody can change it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rounds import Rows, round_of
from toys import toy, toy_fleet

from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.grids.flower import messages
from distreal_sim.grids.flower.messages import Published, decode_arrays, publish_arrays
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.rounds import Simulation, simulate, start

EXPERIMENT = toy(rounds=3, evaluation={"every": 1}, method="fedavg")


def serial(experiment: Experiment) -> Fleet:
    return SerialFleet(build(experiment), experiment.method)


def through_messages(experiment: Experiment) -> Fleet:
    return toy_fleet(experiment)[1]


@pytest.mark.parametrize("fleet_of", [serial, through_messages])
def test_published_arrays_are_the_same_and_read_only(fleet_of: Callable[[Experiment], Fleet]) -> None:
    fleet = fleet_of(EXPERIMENT)
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 2))}
    published = fleet.publish(arrays)
    assert list(published) == ["a", "b"]
    for name, array in published.items():
        assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape)
        assert array.tobytes() == arrays[name].tobytes()
        assert not array.flags.writeable
    assert arrays["a"].flags.writeable
    again = fleet.publish(published)
    assert all(np.shares_memory(again[name], published[name]) for name in ("a",))


def test_a_round_encodes_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3 rounds with 5 clients and a test each: the initial model and 3 merged ones, and 3 times the
    statistics; before, between and after nothing of the model's size is copied or decoded again.
    """
    task, fleet = toy_fleet(EXPERIMENT)
    encoded: list[str] = []
    decoded: list[str] = []
    first = next(iter(task.engine.export()))
    filled, decode = messages._filled, messages.decode_array

    def counting(record: Any, arrays: Any) -> Any:
        if isinstance(record, Published):
            encoded.append("model" if first in arrays else "statistics")
        return filled(record, arrays)

    def counting_decode(array: Any) -> Any:
        decoded.append("one")
        return decode(array)

    monkeypatch.setattr(messages, "_filled", counting)
    simulate(Simulation(EXPERIMENT, task, fleet, Rows()), start(EXPERIMENT, task))
    assert sorted(encoded) == ["model"] * 4 + ["statistics"] * 3
    monkeypatch.setattr(messages, "decode_array", counting_decode)
    published = fleet.publish(start(EXPERIMENT, task).state.arrays)
    n_arrays = len(decoded)
    for _ in range(2):
        assert decode_arrays(published.record) is published.record.arrays
    assert len(decoded) == n_arrays == len(published)


def test_arrays_that_nobody_published_are_encoded_once_for_all_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    task, fleet = toy_fleet(EXPERIMENT)
    state = start(EXPERIMENT, task).state
    jobs = EXPERIMENT.method.plan(task, state, round_of(range(5)))
    records = []
    monkeypatch.setattr(
        "distreal_sim.grids.flower.fleet.publish_arrays",
        lambda arrays: records.append(publish_arrays(arrays)) or records[-1],
    )
    updates = list(fleet.train(jobs))
    assert len(updates) == 5
    assert len({id(record) for record in records}) == 1


def test_a_published_record_travels_without_what_is_known_here() -> None:
    """A worker gets its bytes alone, and decodes them in its own memory."""
    record = publish_arrays({"a": np.arange(1000.0)}).record
    record.handle = "of the driver's store"
    assert record.arrays
    there = pickle.loads(pickle.dumps(record))
    assert there.handle is None
    assert len(pickle.dumps(record)) < 1.2 * 8000
    assert there.arrays["a"].tolist() == list(range(1000))
