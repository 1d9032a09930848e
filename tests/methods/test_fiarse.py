"""FIARSE: thresholds, the biased gradient and the mean of changes, by hand and against a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rounds import ROUND, play, updates_of
from toys import toy

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.config.build import build
from distreal_sim.methods.fiarse import Fiarse, large_weights, masked_names, threshold

STEADY: dict[str, Any] = {"profile": {"name": "constant", "level": math.inf}, "partition": {"name": "iid"}}


def test_threshold_by_hand() -> None:
    """Magnitudes 5, 4, 3, 2, 1, 0 in two arrays: half of them are 5, 4, 3; int(0.4 * 6) = 2; at least one."""
    arrays = {"a": np.array([[-4.0, 0.0], [1.0, 3.0]]), "b": np.array([-5.0, 2.0]), "norm": np.array([9.0])}
    found = [threshold(arrays, ["a", "b"], share) for share in (0.5, 0.4, 0.01, 1.0)]
    assert found == [3.0, 4.0, 5.0, 0.0]


def test_gradient_by_hand() -> None:
    """theta 1: 1.5 times at +-1; at 3, 1 + 2 * 3 / 16 = 1.375; below it value and gradient are 0."""
    weights = torch.tensor([1.0, -1.0, 3.0, 0.5, -0.99], requires_grad=True)
    out = large_weights(weights, 1.0)
    assert out.tolist() == [1.0, -1.0, 3.0, 0.0, 0.0]
    (grad,) = torch.autograd.grad(out, weights, torch.full((5,), 2.0))
    assert grad.tolist() == [3.0, 3.0, 2.75, 0.0, 0.0]


def test_norms_are_not_masked() -> None:
    task = build(toy(method={"name": "fiarse"}))
    assert masked_names(task.structure) == [
        "conv1.conv.weight",
        "conv2.conv.weight",
        "conv3.conv.weight",
        "linear.weight",
        "linear.bias",
    ]


def test_changes_are_averaged_over_those_who_changed() -> None:
    """Two clients change a weight of 1 by 2 and 4, a third not: 1 + 3. One changes another by -0.5. Nobody a
    third, a negative zero: it keeps its sign. All clients count alike, whatever their numbers of examples.
    """
    task = build(toy(method={"name": "fiarse"}, merge={"weight": "clients"}))
    old = {"w": np.array([1.0, 1.0, -0.0], np.float32)}
    updates = []
    for client_id, values in enumerate(([3.0, 1.0, -0.0], [5.0, 0.5, -0.0], [1.0, 1.0, -0.0])):
        facts = Facts(client_id, "completed", 10**client_id, 1, 1, 0, 0.0, 1.0, 0, 0, 0.0)
        updates.append(
            Update(
                facts,
                {"w": np.array(values, np.float32)},
                Coverage((None,) * 3, np.array([1]), np.array([1])),
            )
        )
    merged = Fiarse().merge(task, State(old), ROUND, iter(updates)).arrays["w"]
    assert merged.tobytes() == np.array([4.0, 0.5, -0.0], np.float32).tobytes()


def test_local_steps_against_a_plain_loop() -> None:
    """A client with a quarter of the weights: two SGD steps with momentum and weight decay in plain torch."""
    local = {"steps": 2, "batch_size": 16, "lr": 0.1}
    local["optimizer"] = {"momentum": 0.9, "weight_decay": 0.01}
    experiment = toy(method={"name": "fiarse", "shares": [0.25]}, local=local, **STEADY)
    task, state, (update,) = updates_of(experiment, 1)
    names = masked_names(task.structure)
    theta = threshold(state.arrays, names, 0.25)
    module = build(experiment).module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    indices = task.split[0]
    sizes = batch_sizes(len(indices), task.local)
    for batch in batch_indices(sizes, len(indices), Rngs(task.seed, (1, 0))("batches")):
        x, y = task.batch(task.data.train, indices[batch])
        whole = {n: p.detach().clone() for n, p in module.named_parameters()}
        with torch.no_grad():
            for name, p in module.named_parameters():
                if name in names:
                    p.mul_(p.abs() >= theta)
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()
        with torch.no_grad():
            for name, p in module.named_parameters():
                p.copy_(whole[name])
                if name in names:
                    size = p.abs()
                    p.grad *= (size >= theta) * (1 + 2 * theta * size / (size + theta) ** 2)
        optimizer.step()
    for name, p in module.named_parameters():
        expected = p.detach().numpy().copy()
        if name in names:
            rest = np.abs(state.arrays[name]) < theta
            expected[rest] = state.arrays[name][rest]
            assert update.arrays[name][rest].tobytes() == state.arrays[name][rest].tobytes()
        np.testing.assert_allclose(update.arrays[name], expected, rtol=1e-4, atol=1e-6)


def test_bytes_follow_the_size_and_macs_do_not() -> None:
    """36 + 288 + 1152 + 170 = 1,646 weights and biases, of which a quarter is 411; the norms have 56
    parameters; 4 bytes each.
    """
    experiment = toy(method={"name": "fiarse", "shares": [1.0, 0.25]}, **STEADY)
    task, _, updates = updates_of(experiment, 12)
    full = task.macs_per_example(task.structure.full_counts())
    shares = [Fiarse(shares=(1.0, 0.25)).share(task, u.facts.client_id) for u in updates]
    assert sorted(shares) == [0.25] * 6 + [1.0] * 6
    for update, share in zip(updates, shares, strict=True):
        assert update.facts.macs == full * update.coverage.n_examples
        expected = 4 * (1646 + 56) if share == 1 else 4 * (411 + 56)
        assert update.facts.download_bytes == update.facts.upload_bytes == expected


def test_all_weights_are_fedavg_but_for_rounding() -> None:
    """Mean of changes added to the old value, against the mean of values, clients of equal weight."""
    states = [
        play(2, method=method, merge={"weight": "clients"}, **STEADY).states[-1].arrays
        for method in ({"name": "fiarse", "shares": [1.0]}, {"name": "fedavg"})
    ]
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-3, atol=1e-5)
