"""InclusiveFL's momentum distillation: by hand, against a plain loop, and where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rounds import ROUND, updates_of
from toys import toy

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.methods.inclusivefl import InclusiveFL, matching
from distreal_sim.submodels.depths import depths_of, layers_of

FIRST, SECOND, THIRD, FOURTH = ("network.0", "network.2", "network.5", "network.8")
"""The convolutions of nets.EvenChain; sub-models end behind the second, third and fourth."""


def task_of(model: str, **options: Any) -> Task:
    """All clients count alike in its merge."""
    method = {"name": "inclusivefl", **options}
    return build(toy(method=method, model={"name": model}, merge={"weight": "clients"}))


def zeros(task: Task) -> State:
    return State({name: np.zeros(a.shape, np.float32) for name, a in task.engine.export().items()})


def update(task: Task, client_id: int, depth: int, **changes: float) -> Update:
    """A client's update of this depth, whose layers all moved by 1, or by what is given for the layer."""
    arrays = {
        name: np.full(task.structure.tensors[name].shape, changes.get(name.rpartition(".")[0], 1), np.float32)
        for name in depths_of(task, earlier_exits=False)[depth].names
    }
    facts = Facts(client_id, "completed", 10 * (client_id + 1), 1, 1, 0, 0.0, 1.0, 0, 0, 0.0)
    return Update(facts, arrays, Coverage((None,) * len(task.structure.groups), np.array([4]), np.array([1])))


def merged(task: Task, updates: list[Update], **options: Any) -> dict[str, float]:
    """The one value of each layer after the merge of these updates of zeros."""
    arrays = InclusiveFL(**options).merge(task, zeros(task), ROUND, iter(updates)).arrays
    values: dict[str, set[float]] = {}
    for name, array in arrays.items():
        values.setdefault(name.rpartition(".")[0], set()).update(np.unique(array).tolist())
    assert all(len(found) == 1 for found in values.values())
    return {layer: found.pop() for layer, found in values.items()}


def test_what_deeper_layers_learn_by_hand() -> None:
    """Depths 1 and 3, a client each; the large one's like layers moved by 3, 6 and 9: D = 6.

    The small one's last layer counts with 0.8 * 1 + 0.2 * 6 = 2, the mean with the large one's 3 is 2.5.
    lehaoqu/FL-EE divides by the number of layers twice: D = 2, and 2.1. The other layers are plain means: 1
    and 5 of the first, and what the large one alone has.
    """
    task = task_of("nets.EvenChain")
    large = {FIRST: 5.0, SECOND: 3.0, THIRD: 6.0, FOURTH: 9.0, "network.12": 7.0}
    found = merged(task, [update(task, 0, 0, **{"exits.0.linear": 4.0}), update(task, 1, 2, **large)])
    assert found.pop(SECOND) == pytest.approx(2.5, abs=1e-6)
    expected = {FIRST: 3.0, THIRD: 6.0, FOURTH: 9.0, "network.12": 7.0}
    assert found == {**expected, "exits.0.linear": 4.0, "exits.1.linear": 0.0}


def test_the_next_larger_depth_teaches_with_what_it_was_sent_itself() -> None:
    """All three depths, of which two clients have the first: own means 2 (of 1 and 3), 4, and 8.

    Depth 1 learns from the second and third layer of depth 2, moved by 4 and 6: 0.8 * 2 + 0.2 * 5 = 2.6.
    Depth 2 learns from the third and fourth layer of depth 3, 8 and 10: 0.8 * 6 + 0.2 * 9 = 6.6, of which
    depth 1 sees nothing. Means: second layer (2 * 2.6 + 4 + 8) / 4 = 4.3, third (6.6 + 8) / 2 = 7.3.
    """
    task = task_of("nets.EvenChain")
    updates = [
        update(task, 0, 0, **{SECOND: 1.0}),
        update(task, 1, 2, **{SECOND: 8.0, THIRD: 8.0, FOURTH: 10.0}),
        update(task, 2, 0, **{SECOND: 3.0}),
        update(task, 3, 1, **{SECOND: 4.0, THIRD: 6.0}),
    ]
    found = merged(task, updates)
    values = [found[layer] for layer in (FIRST, SECOND, THIRD, FOURTH)]
    assert values == pytest.approx([1.0, 4.3, 7.3, 10.0], abs=1e-5)
    plain = merged(task, updates, beta=0.0)
    values = [plain[layer] for layer in (FIRST, SECOND, THIRD, FOURTH)]
    assert values == pytest.approx([1.0, 4.0, 7.0, 10.0], abs=1e-6)


def test_weights_are_the_experiments() -> None:
    """merge.weight examples, 10 and 20: (10 * (0.5 * 1 + 0.5 * 4) + 20 * 2) / 30, D = (2 + 4 + 6) / 3."""
    experiment = toy(
        method={"name": "inclusivefl", "beta": 0.5},
        model={"name": "nets.EvenChain"},
        merge={"weight": "examples"},
    )
    task = build(experiment)
    updates = [update(task, 0, 0), update(task, 1, 2, **{SECOND: 2.0, THIRD: 4.0, FOURTH: 6.0})]
    assert merged(task, updates, beta=0.5)[SECOND] == pytest.approx(65 / 30, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "n_taught"),
    [("resnet20", 2), pytest.param("preresnet", 3, marks=pytest.mark.slow), ("small_cnn", 2)],
)
def test_layers_of_other_widths_do_not_teach(model: str, n_taught: int) -> None:
    """Behind the end of a stage come other numbers of channels: the layer itself is all there is."""
    task = task_of(model)
    layers = layers_of(task, depths_of(task, earlier_exits=False))
    assert len(layers) == n_taught + 1
    for small in range(n_taught):
        assert matching(task.structure, layers, small, n_taught) == [layers[small][-1]]


@pytest.mark.parametrize("beta", [0.2, 1.0])
def test_equals_a_plain_loop(beta: float) -> None:
    """Real updates of all three depths of resnet20: every parameter, with the formula as it stands."""
    experiment = toy(
        method={"name": "inclusivefl", "beta": beta},
        model={"name": "resnet20"},
        partition={"name": "iid"},
        profile={"name": "tiers", "levels": [0.5, 0.85, 2.0]},
        local={"steps": 2, "batch_size": 8, "lr": 0.05},
        merge={"weight": "clients"},
    )
    task, state, updates = updates_of(experiment, 12)
    assert all(u.is_merged for u in updates)
    names = [depth.names for depth in depths_of(task, earlier_exits=False)]
    of_depth = [[u for u in updates if u.arrays.keys() == own] for own in names]
    assert min(map(len, of_depth)) > 1
    result = experiment.method.merge(task, state, ROUND, iter(updates)).arrays
    for name, old in state.arrays.items():
        total, n = np.zeros(old.shape), 0
        for depth, holders in enumerate(of_depth):
            if name not in names[depth]:
                continue
            change = np.mean([u.arrays[name] - old.astype(float) for u in holders], axis=0)
            if depth < 2 and name.startswith(f"network.stages.{depth}.2."):
                lesson = np.mean([u.arrays[name] - old.astype(float) for u in of_depth[depth + 1]], axis=0)
                change = (1 - beta) * change + beta * lesson
            total += len(holders) * change
            n += len(holders)
        np.testing.assert_allclose(result[name], old + total / n, rtol=2e-6, atol=1e-8, err_msg=name)


def test_sub_models_of_one_depth_teach_nobody() -> None:
    """Bit for bit what the merge without distillation gives."""
    experiment = toy(
        method={"name": "inclusivefl"},
        partition={"name": "iid"},
        profile={"name": "constant", "level": 0.6},
    )
    task, state, updates = updates_of(experiment, 3)
    with_it, without = (
        InclusiveFL(beta=beta).merge(task, state, ROUND, iter(updates)) for beta in (0.2, 0.0)
    )
    assert all(with_it.arrays[n].tobytes() == a.tobytes() for n, a in without.arrays.items())
