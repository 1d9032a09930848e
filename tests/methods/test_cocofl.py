"""CoCoFL: windows of blocks and the damped average by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rounds import ROUND, play, updates_of
from toys import toy

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.client.train import Traffic
from distreal_sim.config.build import build
from distreal_sim.methods.cocofl import CoCoFL, Window, largest, windows
from distreal_sim.submodels.levels import Level


def task_of(model: str) -> Any:
    return build(toy(method={"name": "cocofl"}, model={"name": model}))


def test_windows_cost_what_freezing_leaves() -> None:
    """small_cnn of width 4 on 8x8: layers of 9*4*64 = 2304, 9*32*16 = 4608, 9*128*4 = 4608 and 160 MACs.

    Forward 11680. Only the first block: its weight gradient and the others' input gradients: 11680 + 2304 +
    4608 + 4608 + 160. Only the last: 11680 + 160. Blocks 1 and 2 (from 0): weights 9216, inputs of the layers
    behind block 1: 4608 + 160. All: 3 * 11680 - 2304. Upload: 4 bytes of 36 + 4 + 4, 288 + 16, 1152 + 32
    and 170 parameters.
    """
    task = build(toy(method={"name": "cocofl"}))
    found = {(w.first, w.last): w.level for w in windows(task)}
    assert len(found) == 10
    assert found[0, 1].macs_per_example == 11680 + 2304 + 4608 + 4608 + 160
    assert found[3, 4].macs_per_example == 11680 + 160
    assert found[1, 3].macs_per_example == 11680 + 9216 + 4608 + 160
    assert found[0, 4].macs_per_example == 3 * 11680 - 2304
    assert found[0, 4].macs_per_example == task.macs_per_example(task.structure.full_counts())
    assert found[1, 3].traffic == Traffic(4 * (44 + 304 + 1184 + 170), 4 * (304 + 1184))


def test_only_windows_within_no_other_are_left() -> None:
    """Of 0-2, 1-2, 2-4, 3-4 and 1-3: 1-2 lies in 0-2 and 1-3, and 3-4 in 2-4."""
    made = [Window(a, b, Level((), 0, Traffic(0, 0))) for a, b in [(0, 2), (1, 2), (2, 4), (3, 4), (1, 3)]]
    assert [(w.first, w.last) for w in largest(made)] == [(0, 2), (2, 4), (1, 3)]


@pytest.mark.parametrize(("weight", "expected"), [("clients", 0.4), ("examples", 11.75 / 55)])
def test_damped_average(weight: str, expected: float) -> None:
    """4 of 10 clients train a tensor and return 1 on average, 0.5 to 1.5; it was 0: now 0.4, all clients
    counting alike. By examples, 1 to 10: (1 * 0.5 + 2 * 0.75 + 3 * 1.25 + 4 * 1.5) / 55. Of another tensor,
    -3 before and trained by nobody, not a bit changes.
    """
    task = build(toy(method={"name": "cocofl"}, merge={"weight": weight}))
    old = {
        name: np.zeros(task.structure.tensors[name].shape, np.float32) for name in task.structure.parameters
    }
    old["linear.bias"][:] = -3
    values = [0.5, 0.75, 1.25, 1.5] + [None] * 6
    updates = []
    for client_id, value in enumerate(values):
        arrays = {} if value is None else {"linear.weight": np.full((10, 16), value, np.float32)}
        facts = Facts(client_id, "completed", 1 + client_id, 1, 1, 0, 0.0, 1.0, 0, 0, 0.0)
        updates.append(Update(facts, arrays, Coverage((None,) * 3, np.array([1]), np.array([1]))))
    merged = CoCoFL().merge(task, State(old), ROUND, iter(updates)).arrays
    np.testing.assert_allclose(merged["linear.weight"], expected, rtol=1e-7)
    assert merged["linear.bias"].tobytes() == old["linear.bias"].tobytes()


def test_frozen_blocks_rest_and_do_not_travel() -> None:
    """Equal clients with 0.7 of what the full network needs, 22915 of 32736 MACs: windows 1-2 (21056), 2-3
    (16448), 2-4 (16608) and 3-4 (11840) fit, 0-1 (23360) and larger ones do not. Of 12 clients some train
    1-2 and some 2-4.
    """
    steady = {"name": "constant", "level": 0.7}
    task, state, updates = updates_of(
        toy(method={"name": "cocofl"}, partition={"name": "iid"}, profile=steady), 12
    )
    known = {frozenset(w.level.trained or ()): w for w in windows(task)}
    seen = set()
    for update in updates:
        window = known[frozenset(update.arrays)]
        seen.add((window.first, window.last))
        moved = {n for n, a in update.arrays.items() if a.tobytes() != state.arrays[n].tobytes()}
        assert moved == set(window.level.trained or ())
        assert update.facts.upload_bytes == window.level.traffic.upload_bytes
        assert update.facts.macs == window.level.macs_per_example * update.coverage.n_examples
    assert seen == {(1, 2), (2, 4)}


def test_a_client_too_weak_for_the_forward_pass_skips() -> None:
    """0.3 of 32736 MACs is less than the 11840 of the cheapest window."""
    steady = {"name": "constant", "level": 0.3}
    rows = play(1, method={"name": "cocofl"}, partition={"name": "iid"}, profile=steady).clients
    assert {(r.status, r.macs, r.download_bytes) for r in rows} == {("dropped", 0, 0)}
