"""Gradients summed over sub-networks, then one step: equal to autograd on physically small networks."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask, first_mask, keep_counts
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import Structure, kept_elements


def small_copy(
    module: nn.Module, structure: Structure, mask: Mask, values: dict[str, np.ndarray]
) -> nn.Module:
    """A dense network of the mask's widths with the kept entries of full-width values."""
    small = shrink(module, structure, mask.counts(structure))
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            index = kept_elements(structure.tensors[name], mask.kept)
            parameter.copy_(torch.from_numpy(values[name][index] if values[name].ndim else values[name]))
    return small


def nested_masks(structure: Structure, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Masks of first channels, wide and narrow: some groups equal in both, one whole in the wide one."""
    every = structure.thinnable(drop_linear=True)
    rates = rng.uniform(0.1, 0.6, len(every))
    rates[rng.integers(len(every))] = 0.0
    wide = keep_counts(structure, rates, every)
    narrower = keep_counts(structure, np.clip(rates + rng.choice([0.0, 0.3], len(every)), 0, 0.9), every)
    return first_mask(structure, wide), first_mask(structure, narrower)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.01)])
def test_two_sub_networks_and_one_step(step_net, momentum, weight_decay):
    """Four steps on CE through the wide plus soft-target CE through the narrow network; float64, 1e-9.

    The twin runs autograd on two dense networks, adds the narrow gradient into the wide one's, and applies
    SGD's formulas to the wide network's coordinates; the rest keeps its bytes.
    """
    module, x, y = step_net.module, step_net.x, step_net.y
    structure = find_groups(module, x)
    engine = Engine(module, structure, momentum=momentum, weight_decay=weight_decay, dtype=torch.float64)
    rng = np.random.default_rng(16)
    values = {name: p.detach().numpy().copy() for name, p in module.named_parameters()}
    velocity = {name: np.zeros_like(v) for name, v in values.items()}
    for number in range(4):
        wide, narrow = nested_masks(structure, rng)
        if number == 2:
            wide = Mask((None,) * len(structure.groups))
        gradient = {name: np.zeros_like(v) for name, v in values.items()}
        target = torch.zeros(0)
        losses = []
        for mask in (wide, narrow):
            dense = small_copy(module, structure, mask, values)
            outputs = dense(x)
            loss = F.cross_entropy(outputs, y if mask is wide else target)
            if mask is wide:
                target = F.softmax(outputs.detach(), dim=1)
            loss.backward()
            losses.append(loss.item())
            for name, parameter in dense.named_parameters():
                gradient[name][kept_elements(structure.tensors[name], mask.kept)] += parameter.grad.numpy()
        before = engine.export()
        found = [
            engine.accumulate(x, y, wide),
            engine.accumulate(x, y, narrow, lambda outputs, _, soft=target: F.cross_entropy(outputs, soft)),
        ]
        assert found == pytest.approx(losses, abs=1e-9)
        assert all(before[n].tobytes() == a.tobytes() for n, a in engine.export().items())
        engine.apply(wide, 0.1)
        after = engine.export()
        for name, value in values.items():
            index = kept_elements(structure.tensors[name], wide.kept)
            v = velocity[name]
            v[index] = momentum * v[index] + gradient[name][index] + weight_decay * value[index]
            value[index] -= 0.1 * v[index]
            np.testing.assert_allclose(after[name], value, rtol=0, atol=1e-9, err_msg=name)
            outside = np.ones(value.shape, bool)
            outside[index] = False
            assert after[name][outside].tobytes() == before[name][outside].tobytes(), name


@pytest.mark.parametrize("scaling", ["none", "inverted"])
def test_one_accumulated_gradient_is_a_step(step_net, scaling, random_mask):
    """accumulate + apply with one mask, momentum and weight decay = step, dense and thinned; 1e-12."""
    structure = find_groups(step_net.module, step_net.x)
    options = {"momentum": 0.9, "weight_decay": 0.01, "scaling": scaling, "dtype": torch.float64}
    one, two = (Engine(step_net.module, structure, **options) for _ in range(2))
    rng = np.random.default_rng(17)
    for mask in (random_mask(structure, rng), None, random_mask(structure, rng)):
        loss = one.step(step_net.x, step_net.y, mask, 0.1)
        assert two.accumulate(step_net.x, step_net.y, mask) == pytest.approx(loss, abs=1e-12)
        two.apply(mask, 0.1)
        for name, expected in one.export().items():
            np.testing.assert_allclose(two.export()[name], expected, rtol=0, atol=1e-12, err_msg=name)


def test_load_forgets_sums_and_unused_parameters_stay():
    """A sum from before `load` has no effect; a parameter without a gradient feels no weight decay."""

    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
            self.unused = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return self.b(self.a(x).relu())

    module, x, y = Part(), torch.ones(2, 3), torch.tensor([0, 1])
    structure = find_groups(module, x)
    mask = Mask((np.array([0, 1]),))
    engines = [Engine(copy.deepcopy(module), structure, weight_decay=0.5) for _ in range(2)]
    start = engines[0].export()
    engines[0].accumulate(x + 1, y, None)
    for engine in engines:
        engine.load(start)
        engine.accumulate(x, y, mask)
        engine.apply(mask, 0.1)
    first, second = (engine.export() for engine in engines)
    assert first["unused"].tobytes() == start["unused"].tobytes()
    assert all(first[n].tobytes() == second[n].tobytes() for n in start)
    assert first["b.weight"].tobytes() != start["b.weight"].tobytes()
