"""Rules other than SGD: thinned steps are those of torch.optim on the tensors that a step keeps."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distreal_sim.base.plugins import load, names
from distreal_sim.recipe.optimizers import Optimizer
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask, first_mask
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import kept_elements

OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "adam": {"amsgrad": True, "eps": 1e-3},
    "adamw": {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3},
    "adagrad": {"lr_decay": 0.5, "eps": 1e-3},
    "rmsprop": {"momentum": 0.9, "centered": True, "alpha": 0.9, "eps": 1e-3},
}
"""Every option of torch's rules that ours have. eps is so large that a gradient which is 0 but for rounding,
such as that of a bias before a batch norm, does not become a step of some size."""

TORCHS = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}

every_rule = pytest.mark.parametrize("name", names(Optimizer))


def ours(name: str) -> Optimizer:
    return load(Optimizer, name)(weight_decay=0.01, **OPTIONS[name])


def torchs(name: str, parameters: Any, lr: float = 0.1) -> torch.optim.Optimizer:
    options = dict(OPTIONS[name])
    if name == "adamw":
        options["betas"] = options.pop("beta1"), options.pop("beta2")
    return TORCHS[name](parameters, lr=lr, weight_decay=0.01, **options)


def small_twin(module: nn.Module, structure: Any, mask: Mask) -> nn.Module:
    """The physically smaller network with the kept entries of the module's parameters."""
    small = shrink(module, structure, mask.counts(structure))
    wide = dict(module.named_parameters())
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            index = kept_elements(structure.tensors[name], mask.kept)
            parameter.copy_(torch.from_numpy(wide[name].detach().numpy()[index]))
    return small


def assert_kept(engine: Engine, structure: Any, mask: Mask, twin: nn.Module, tolerance: float) -> None:
    """The engine's kept entries are the parameters of the twin."""
    got = engine.export()
    for name, parameter in twin.named_parameters():
        kept = got[name][kept_elements(structure.tensors[name], mask.kept)]
        np.testing.assert_allclose(kept, parameter.detach(), rtol=0, atol=tolerance, err_msg=name)


@every_rule
def test_thinned_steps_are_torchs_on_the_shrunk_network(own_net, name, random_mask):
    """Four steps with one mask at falling rates against torch.optim on the small network, float64, 1e-9."""
    module, x, y = own_net.module, own_net.x, own_net.y
    structure = find_groups(module, x)
    engine = Engine(module, structure, optimizer=ours(name), dtype=torch.float64)
    mask = random_mask(structure, np.random.default_rng(1))
    small = small_twin(module, structure, mask)
    optimizer = torchs(name, small.parameters())
    for lr in (0.1, 0.1, 0.05, 0.02):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = F.cross_entropy(small(x), y)
        loss.backward()
        optimizer.step()
        assert engine.step(x, y, mask, lr) == pytest.approx(loss.item(), abs=1e-9)
    assert_kept(engine, structure, mask, small, 1e-9)


@every_rule
def test_changing_masks_equal_a_masked_twin(own_net, name, random_mask, zero_dropped):
    """Five steps, dense ones among them, float64, 1e-9.

    The twin runs the full network with dropped channels zeroed. For each parameter it takes the kept entries
    of value, gradient and state out, lets torch.optim make one step of them, and writes them back: so the
    rest keeps its bytes, its state too, and the number of steps is that of the tensor.
    """
    structure = find_groups(own_net.module, own_net.x)
    rule = ours(name)
    engine = Engine(own_net.module, structure, optimizer=rule, dtype=torch.float64)
    rng = np.random.default_rng(6)
    twin = copy.deepcopy(own_net.module)
    states = {n: {s: torch.zeros_like(p.data) for s in rule.states} for n, p in twin.named_parameters()}
    for number in range(5):
        mask = Mask((None,) * len(structure.groups)) if number == 2 else random_mask(structure, rng)
        before = engine.export()
        zeroed = zero_dropped(twin, structure, mask)
        F.cross_entropy(zeroed(own_net.x), own_net.y).backward()
        gradients = {n: p.grad for n, p in zeroed.named_parameters()}
        engine.step(own_net.x, own_net.y, mask, 0.1)
        after = engine.export()
        for n, parameter in twin.named_parameters():
            index = kept_elements(structure.tensors[n], mask.kept)
            kept = nn.Parameter(parameter.detach()[index].clone())
            kept.grad = gradients[n][index].clone()
            optimizer = torchs(name, [kept])
            own = {s: state[index].clone() for s, state in states[n].items()}
            optimizer.state[kept] = {**own, "step": torch.tensor(float(number))}
            optimizer.step()
            parameter.data[index] = kept.detach()
            for s, state in states[n].items():
                state[index] = optimizer.state[kept][s]
            np.testing.assert_allclose(after[n], parameter.detach(), rtol=0, atol=1e-9, err_msg=n)
            dropped = np.ones(tuple(parameter.shape), bool)
            dropped[index] = False
            assert after[n][dropped].tobytes() == before[n][dropped].tobytes(), n


def net_of(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    torch.manual_seed(2)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).double()


def test_sgd_by_torchs_own_function_is_the_engines():
    """The rule of the plug-in `sgd`, which the engine has built in: the same bytes in float64."""
    module = net_of(6, 9, 3)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3
    structure = find_groups(module, x)
    mask = first_mask(structure, (5,))
    engines = [
        Engine(module, structure, **options, clip_norm=1e6, dtype=torch.float64)
        for options in (ours("sgd").engine_options(), {"optimizer": ours("sgd")})
    ]
    for kept in (mask, None, mask):
        assert len({engine.step(x, y, kept, 0.1) for engine in engines}) == 1
    fast, general = (engine.export() for engine in engines)
    assert all(fast[name].tobytes() == general[name].tobytes() for name in fast)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("norm", [0.05, 1e6])
@pytest.mark.parametrize("cut", [False, True])
def test_clipped_steps_are_torchs(cut, norm, rule):
    """Two steps against clip_grad_norm_ on the shrunk network, float64, 1e-9; with a hidden linear layer
    large enough for the engine's in-place updates, which a clipped step cannot use.
    """
    module = net_of(300, 256, 300, 5)
    structure = find_groups(module, torch.zeros(2, 300, dtype=torch.float64))
    mask = first_mask(structure, (128, 250) if cut else structure.full_counts())
    own = ours(rule).engine_options()
    engine = Engine(module, structure, **own, clip_norm=norm, dtype=torch.float64)
    twin = small_twin(module, structure, mask)
    optimizer = torchs(rule, twin.parameters())
    for _ in range(2):
        x, y = 5 * torch.randn(8, 300, dtype=torch.float64), torch.arange(8) % 5
        engine.step(x, y, mask, 0.1)
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        length = torch.nn.utils.clip_grad_norm_(twin.parameters(), norm)
        assert (length > norm) == (norm < 1)
        optimizer.step()
    assert_kept(engine, structure, mask, twin, 1e-9)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_a_proximal_term_is_part_of_the_clipped_gradient(rule):
    """Three steps on loss + 0.3 / 2 |w - w_0|^2, clipped, against autograd's gradient of both; 1e-9."""
    module = net_of(6, 9, 3)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3
    structure = find_groups(module, x)
    engine = Engine(module, structure, **ours(rule).engine_options(), clip_norm=0.1, dtype=torch.float64)
    twin = copy.deepcopy(module)
    optimizer = torchs(rule, twin.parameters())
    for _ in range(3):
        engine.step(x, y, None, 0.1, proximal=0.3)
        optimizer.zero_grad()
        pairs = zip(twin.parameters(), module.parameters(), strict=True)
        away = sum(((own - anchor.detach()) ** 2).sum() for own, anchor in pairs)
        (F.cross_entropy(twin(x), y) + 0.15 * away).backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        optimizer.step()
    assert_kept(engine, structure, first_mask(structure, (9,)), twin, 1e-9)


def test_load_forgets_the_state_and_partial_steps_spare_it():
    """After `load`, a step is the first one again: Adam's first step has the size lr whatever the gradient.

    m / (1 - b1) = g and v / (1 - b2) = g^2, so it is lr g / |g|. A layer that two steps left out then makes
    such a step, too; its neighbour has made three, in which the gradient changed.
    """
    module = net_of(6, 9, 3)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3
    engine = Engine(module, find_groups(module, x), optimizer=load(Optimizer, "adam")(), dtype=torch.float64)
    start = engine.export()

    def moved(before, **options):
        engine.step(x, y, None, 0.01, **options)
        return {name: np.abs(after - before[name]) for name, after in engine.export().items()}

    sizes = moved(start)
    used = {name: size > 1e-4 for name, size in sizes.items()}  # a dead unit of ReLU has no gradient
    assert all(np.allclose(sizes[name][used[name]], 0.01, rtol=1e-4) for name in sizes)
    engine.load(start)
    for _ in range(2):
        assert not moved(engine.export(), trained=["0.weight", "0.bias"])["2.weight"].any()
    sizes = moved(engine.export())
    np.testing.assert_allclose(sizes["2.weight"][used["2.weight"]], 0.01, rtol=1e-4)
    assert not np.allclose(sizes["0.weight"][used["0.weight"]], 0.01, rtol=1e-3)


def test_a_rate_of_0_changes_nothing():
    """Neither a byte of the weights (-0.0 among them) nor the state: the next step is the first."""
    module = net_of(6, 9, 3)
    with torch.no_grad():
        module[0].weight.fill_(-0.0)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3
    structure = find_groups(module, x)
    engine, fresh = (Engine(module, structure, optimizer=ours("adam"), dtype=torch.float64) for _ in range(2))
    start = engine.export()
    engine.step(x, y, None, 0.0)
    assert all(engine.export()[name].tobytes() == array.tobytes() for name, array in start.items())
    for own in (engine, fresh):
        own.step(x, y, None, 0.1)
    assert all(engine.export()[name].tobytes() == array.tobytes() for name, array in fresh.export().items())


def test_summed_gradients_are_one_step_of_the_rule():
    """accumulate + apply = step for Adam with clipping, thinned and dense; 1e-12."""
    module = net_of(6, 9, 3)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3
    structure = find_groups(module, x)
    options = {"optimizer": ours("adam"), "clip_norm": 0.1, "dtype": torch.float64}
    one, two = (Engine(module, structure, **options) for _ in range(2))
    for mask in (first_mask(structure, (5,)), None, first_mask(structure, (7,))):
        one.step(x, y, mask, 0.1)
        two.accumulate(x, y, mask)
        two.apply(mask, 0.1)
        for name, expected in one.export().items():
            np.testing.assert_allclose(two.export()[name], expected, rtol=0, atol=1e-12, err_msg=name)
