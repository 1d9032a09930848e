"""A thinned network is the full network whose dropped channels are zero after norm and activation."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.structure import kept_elements


def test_outputs_and_gradients(net, random_mask, zero_dropped):
    """Outputs, loss and gradients agree to 1e-9 relative to their largest value; dropped gradients are 0."""
    structure = find_groups(net.module, net.x)
    engine = Engine(net.module, structure, dtype=torch.float64)
    rng = np.random.default_rng(1)
    for _ in range(2):
        mask = random_mask(structure, rng)
        full = zero_dropped(net.module, structure, mask)
        expected = full(net.x)
        loss = F.cross_entropy(expected, net.y)
        loss.backward()
        got_loss, gradients = engine.gradients(net.x, net.y, mask)
        tolerance = 1e-9 * expected.detach().abs().max().item()
        assert torch.allclose(engine.forward(net.x, mask), expected, rtol=0, atol=tolerance)
        assert got_loss == pytest.approx(loss.item(), rel=1e-9)
        assert list(gradients) == [name for name, _ in net.module.named_parameters()]
        largest = max(float(p.grad.abs().max()) for p in full.parameters())
        for name, parameter in full.named_parameters():
            index = kept_elements(structure.tensors[name], mask.kept)
            wide = np.zeros(tuple(parameter.shape))
            wide[index] = gradients[name].numpy()
            np.testing.assert_allclose(
                wide, parameter.grad.numpy(), rtol=0, atol=1e-9 * largest, err_msg=name
            )


def test_same_as_functional_call(own_net, random_mask):
    """Where no attribute holds a width, `functional_call` with the gathered tensors gives the same bits."""
    if own_net.grouped:
        pytest.skip("functional_call cannot change `groups`")
    structure = find_groups(own_net.module, own_net.x)
    mask = random_mask(structure, np.random.default_rng(2))
    gathered = {
        name: torch.from_numpy(tensor.detach().numpy()[kept_elements(structure.tensors[name], mask.kept)])
        for name, tensor in [*own_net.module.named_parameters(), *own_net.module.named_buffers()]
        if tensor.dim()
    }
    with torch.no_grad():
        expected = torch.func.functional_call(copy.deepcopy(own_net.module), gathered, own_net.x)
    assert torch.equal(
        Engine(own_net.module, structure, dtype=torch.float64).forward(own_net.x, mask), expected
    )


def test_module_is_not_changed(own_net, random_mask):
    """Finding groups and training leave every byte and attribute of the user's module alone."""
    before = copy.deepcopy(own_net.module)
    structure = find_groups(own_net.module, own_net.x)
    engine = Engine(own_net.module, structure, dtype=torch.float64)
    engine.step(own_net.x, own_net.y, random_mask(structure, np.random.default_rng(3)), 0.1)
    engine.step(own_net.x, own_net.y, None, 0.1)
    for (name, a), b in zip(own_net.module.state_dict().items(), before.state_dict().values(), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), name
    assert repr(own_net.module) == repr(before)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in own_net.module.modules())


def test_inverted_scaling_scales_what_layers_read(own_net, random_mask, zero_dropped):
    """The full twin multiplies each consumer's input channel of a group by C / kept, dropped ones by zero."""
    structure = find_groups(own_net.module, own_net.x)
    mask = random_mask(structure, np.random.default_rng(4))
    counts = mask.counts(structure)
    full = zero_dropped(own_net.module, structure, mask)
    for weight, axis in structure.scaled.items():
        factors = np.concatenate(
            [
                np.full(
                    s.size * s.inner,
                    1.0 if s.group < 0 else structure.groups[s.group].channels / counts[s.group],
                )
                for s in axis
            ]
        )

        def scale(part, args, factors=factors):
            (x,) = args
            dim = x.dim() - 1 if isinstance(part, nn.Linear) else 1
            return (x * torch.from_numpy(factors).view(-1, *(1,) * (x.dim() - 1 - dim)),)

        full.get_submodule(weight.removesuffix(".weight")).register_forward_pre_hook(scale)
    loss = F.cross_entropy(full(own_net.x), own_net.y)
    loss.backward()
    engine = Engine(own_net.module, structure, dtype=torch.float64, scaling="inverted")
    got_loss, gradients = engine.gradients(own_net.x, own_net.y, mask)
    assert got_loss == pytest.approx(loss.item(), rel=1e-9)
    for name, parameter in full.named_parameters():
        wide = np.zeros(tuple(parameter.shape))
        wide[kept_elements(structure.tensors[name], mask.kept)] = gradients[name].numpy()
        np.testing.assert_allclose(wide, parameter.grad.numpy(), rtol=0, atol=1e-9, err_msg=name)
