"""Chains of linear layers, whose steps are written out, against torch's autograd and torch.optim.SGD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact import Steps, assert_as_near_as_torch, sgd
from torch import nn

from distreal_sim.recipe.optimizers.adam import Adam
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.chain import find_chain
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.structure import kept_elements

every_optimiser = pytest.mark.parametrize(
    ("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.9, 0.01)]
)


def logistic() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(18, 4))


def perceptron() -> nn.Module:
    """Nested, with a layer without bias and one without ReLU behind it."""
    hidden = nn.Sequential(nn.Linear(18, 12), nn.ReLU(), nn.Linear(12, 10, bias=False))
    return nn.Sequential(nn.Flatten(), hidden, nn.Sequential(nn.Linear(10, 9), nn.ReLU()), nn.Linear(9, 4))


every_chain = pytest.mark.parametrize("make", [logistic, perceptron])


def examples(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.normal(size=(7, 2, 3, 3))).to(dtype), torch.from_numpy(rng.integers(0, 4, 7))


@every_chain
@every_optimiser
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_steps_are_torchs_sgd(make, momentum, weight_decay, mu):
    """Four float32 steps at falling rates on the loss + mu / 2 |w - w_0|^2: as near to float64 as torch's."""
    torch.manual_seed(2)
    module = make()
    x, y = examples(torch.float32)
    options = {"momentum": momentum, "weight_decay": weight_decay}
    engine = Engine(module, find_groups(module, x), **options)
    rates = (0.5, 0.3, 0.2, 0.1)
    losses = [engine.step(x, y, None, lr, proximal=mu) for lr in rates]
    plain, exact = (
        sgd(module, x, y, rates, **options, proximal=mu, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    assert_as_near_as_torch(Steps(losses, engine.export()), plain, exact)


@every_optimiser
def test_thinned_steps_go_along_the_gradient(momentum, weight_decay, random_mask):
    """SGD's formulas on the gradients that autograd gives, where channels are kept; float64, 1e-12."""
    torch.manual_seed(3)
    module = perceptron().double()
    x, y = examples(torch.float64)
    structure = find_groups(module, x)
    engine = Engine(module, structure, momentum=momentum, weight_decay=weight_decay, dtype=torch.float64)
    rng = np.random.default_rng(4)
    velocity = {name: np.zeros_like(array) for name, array in engine.export().items()}
    one = random_mask(structure, rng)
    for mask in (one, one, random_mask(structure, rng), one):
        expected = engine.export()
        loss, gradients = engine.gradients(x, y, mask)
        assert engine.step(x, y, mask, 0.1) == pytest.approx(loss, rel=1e-12)
        for name, after in engine.export().items():
            index = kept_elements(structure.tensors[name], mask.kept)
            v = velocity[name]
            v[index] = momentum * v[index] + gradients[name].numpy() + weight_decay * expected[name][index]
            expected[name][index] -= 0.1 * v[index]
            np.testing.assert_allclose(after, expected[name], rtol=0, atol=1e-12, err_msg=name)


@every_chain
def test_an_engine_steps_along_its_chain_without_autograd(make, monkeypatch):
    module, (x, y) = make(), examples(torch.float32)
    engine = Engine(module, find_groups(module, x))

    def refuse(*args, **kwargs):
        raise AssertionError("autograd was asked")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    engine.step(x, y, None, 0.1)


@every_chain
def test_only_steps_of_a_chain_on_cross_entropy_are_known_to_draw_nothing(make):
    """A job seeds the global generators where a step may draw; dropout, losses and optimizers may."""
    (x, _), chain, dropping = examples(torch.float32), make(), nn.Sequential(make(), nn.Dropout(0.0))

    def may_draw(module: nn.Module, **options) -> bool:
        return Engine(module, find_groups(module, x), **options).draws

    assert not may_draw(chain)
    assert may_draw(dropping)
    assert may_draw(chain, loss_fn=lambda outputs, y: nn.functional.cross_entropy(outputs, y))
    assert may_draw(chain, optimizer=Adam())


def test_only_chains_are_found():
    """Other layers, hooks, frozen or shared parameters, subclasses and a last ReLU are left to autograd."""
    found = find_chain(perceptron(), [name for name, _ in perceptron().named_parameters()])
    assert found is not None
    assert [link.relu for link in found.links] == [True, False, True, False]
    assert [link.bias is None for link in found.links] == [False, True, False, False]
    hooked, frozen, layer = logistic(), logistic(), nn.Linear(5, 5)
    hooked[1].register_forward_hook(lambda part, args, out: 2 * out)
    frozen[1].bias.requires_grad_(False)

    class Own(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    others = [
        hooked, frozen, nn.Sequential(layer, nn.ReLU(), layer), nn.Sequential(nn.Flatten(), Own(18, 4)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(2), nn.Linear(9, 4)), nn.Sequential(nn.ReLU(), nn.Linear(3, 4)),
        nn.Flatten(),
    ]  # fmt: skip
    for module in others:
        names = [name for name, p in module.named_parameters() if p.requires_grad]
        assert find_chain(module, names) is None, module
