"""Sub-models that end in an exit: their costs, their layers, and the deepest so far."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from toys import toy
from variants import by_default

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.config.build import build
from distreal_sim.submodels.depths import deepest_trained, depth_of, depths_of, layers_of, with_deepest
from distreal_sim.submodels.exits import WithExits
from distreal_sim.submodels.submodel import SubModel


def test_depths_of_the_small_network_by_hand() -> None:
    """small_cnn of width 4 on 8x8: layers of 2304, 4608, 4608 and 160 MACs, exits of 4 * 10 and 8 * 10.

    Depth 1: 2 * 2304 + 3 * 40; depth 2: 3 * (4608 + 80) more; depth 3: 3 * (4608 + 160) more. Parameters: 44
    + 50, then 304 + 90 more, then 1184 + 170. InclusiveFL: without the exits before the last one.
    """
    task = build(toy(method={"name": "depthfl"}))
    levels = [d.level for d in depths_of(task, earlier_exits=True)]
    macs = [2 * 2304 + 3 * 40, 3 * 4688, 3 * 4768]
    sizes = [94, 394, 1354]
    assert [level.macs_per_example for level in levels] == np.cumsum(macs).tolist()
    assert [level.traffic.upload_bytes for level in levels] == (4 * np.cumsum(sizes)).tolist()
    levels = [d.level for d in depths_of(task, earlier_exits=False)]
    assert [level.macs_per_example for level in levels] == [4728, 4608 + 3 * 4688, 4608 + 3 * (9216 + 160)]
    assert [level.traffic.download_bytes // 4 for level in levels] == [94, 44 + 394, 44 + 304 + 1354]


@pytest.mark.parametrize(
    "model",
    by_default(
        ["small_cnn", "resnet20", "preresnet", "heterofl_cnn", "cnn_cifar"], ["small_cnn", "resnet20"]
    ),
)
@pytest.mark.parametrize("method", ["depthfl", "inclusivefl"])
def test_costs_equal_torchs_counter(method: str, model: str) -> None:
    """FLOPs / 2 of a real forward and backward pass of each depth; what it reaches is what a client holds."""
    task = build(toy(method=method, model=model))
    module = copy.deepcopy(task.module).train()
    assert isinstance(module, WithExits)
    x = torch.randn(2, *task.data.shape)
    for depth in depths_of(task, earlier_exits=method == "depthfl"):
        with FlopCounterMode(display=False) as counter:
            sum(s.sum() for s in module.scores(x, depth.exits)).backward()
        assert counter.get_total_flops() == 2 * 2 * depth.level.macs_per_example
        reached = {name for name, p in module.named_parameters() if p.grad is not None}
        assert reached == depth.names
        module.zero_grad(set_to_none=True)


def test_the_deepest_of_earlier_rounds_is_remembered() -> None:
    """Exits trained round by round: 0 and 2; 1; none; 3. Deepest so far: 2, 2, 2, 3."""
    state, found = State({}), []
    for trained in ({0, 2}, {1}, set(), {3}):
        state = with_deepest(state, trained)
        found.append(int(state.extras["deepest"]))
    assert found == [2, 2, 2, 3]


def test_layers_of_the_sub_models() -> None:
    """Each ends with its last convolution; neither exits nor the classifier are among them."""
    task = build(toy(method="inclusivefl", model="nets.EvenChain"))
    layers = layers_of(task, depths_of(task, earlier_exits=False))
    ends = [[layer[0].rpartition(".")[0] for layer in of_depth] for of_depth in layers]
    convolutions = ["network.0", "network.2", "network.5", "network.8"]
    assert ends == [convolutions[:2], convolutions[:3], convolutions]
    assert all(len(layer) == 2 for of_depth in layers for layer in of_depth)


def test_the_deepest_trained_is_a_sub_model() -> None:
    """Of three depths: none before the first update, the first two end in exits, the third is the whole."""
    task = build(toy(method="depthfl"))
    assert deepest_trained(task, State({})) is None
    states = [with_deepest(State({}), {number}) for number in range(3)]
    expected = [SubModel((4, 8, 16), 0), SubModel((4, 8, 16), 1), SubModel((4, 8, 16), None)]
    assert [deepest_trained(task, state) for state in states] == expected


def test_an_update_is_of_the_depth_whose_parameters_it_has() -> None:
    task = build(toy(method="depthfl"))
    depths = depths_of(task, earlier_exits=True)
    facts = Facts(0, "completed", 1, 1, 1, 0, 0.0, 1.0, 0, 0, 0.0)
    coverage = Coverage((None,) * 3, np.array([1]), np.array([1]))
    updates = [Update(facts, {n: np.zeros(1) for n in depth.names}, coverage) for depth in depths]
    assert [depth_of(update, depths) for update in updates] == [0, 1, 2]
