"""bfloat16 steps are those of PyTorch's autocast; what is kept and what is tested is float32."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scores import loss_and_hits

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.engine.linear import MIN_ELEMENTS

ROUNDING = 2.0**-8
"""Largest relative error of a number rounded to bfloat16's 8 significant bits."""


def test_dense_steps_are_autocasts(step_net):
    """Three steps as in PyTorch's recipe: the same losses, the same bytes.

    Large linear layers are computed in float32 here: with one, a step, and a loss as close as bfloat16 is.
    """
    module, x = step_net.module.float(), step_net.x.float()
    engine = Engine(module, find_groups(module, x), momentum=0.9, precision="bfloat16")
    plain = copy.deepcopy(module).train()
    large = any(isinstance(p, torch.nn.Linear) and p.weight.numel() >= MIN_ELEMENTS for p in plain.modules())
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    for _ in range(1 if large else 3):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = plain(x)
        loss = F.cross_entropy(outputs.float(), step_net.y)
        loss.backward()
        optimiser.step()
        assert engine.step(x, step_net.y, None, 0.05) == pytest.approx(
            loss.item(), rel=ROUNDING if large else 0, abs=0
        )
    for (name, parameter), array in zip(plain.named_parameters(), engine.export().values(), strict=True):
        assert array.dtype == np.float32
        assert large or parameter.detach().numpy().tobytes() == array.tobytes(), name


def test_thinned_steps_are_rounded_and_right(step_net, random_mask):
    """The step of one mask in both precisions: other bits, but the same way, to a quarter of its length."""
    module, x = step_net.module.float(), step_net.x.float()
    structure = find_groups(module, x)
    mask = random_mask(structure, np.random.default_rng(3))
    before = Engine(module, structure).export()
    moved = []
    for precision in ("float32", "bfloat16"):
        engine = Engine(module, structure, precision=precision)
        engine.step(x, step_net.y, mask, 0.05)
        after = engine.export()
        moved.append(np.concatenate([(after[n] - before[n]).ravel() for n in before]).astype(float))
    exact, rounded = moved
    assert 0 < np.linalg.norm(rounded - exact) < 0.25 * np.linalg.norm(exact)


def test_what_a_step_adds_is_not_lost_in_a_large_weight():
    """A weight of 1 takes steps of 1e-4, lost in bfloat16, where 1 + 2 ** -7 comes next."""
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1, bias=False), torch.nn.Flatten())
    with torch.no_grad():
        layer[0].weight.fill_(1.0)
    x, y = torch.ones(2, 2, 1, 1), torch.tensor([0, 0])
    engine = Engine(layer, find_groups(layer, x), precision="bfloat16")
    for _ in range(100):
        engine.step(x, y, None, 2e-4)  # equal scores: a gradient of -1/2 and 1/2
    weight = engine.export()["0.weight"].reshape(2, 2)
    np.testing.assert_allclose(weight, [[1.01, 1.01], [0.99, 0.99]], atol=2e-4)
    assert not torch.any(torch.tensor(1.0, dtype=torch.bfloat16) + 1e-4 != 1.0)


def test_tests_are_float32(step_net):
    """Testing the same parameters gives the same bits, whatever the steps are computed in."""
    module, x = step_net.module.float(), step_net.x.float()
    structure = find_groups(module, x)
    found = [
        loss_and_hits(Engine(module, structure, precision=precision), {}, x, step_net.y)
        for precision in ("float32", "bfloat16")
    ]
    assert found[0] == found[1]
