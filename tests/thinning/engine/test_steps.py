"""Dense steps are those of torch.optim.SGD; thinned ones equal a plain twin and touch nothing else."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exact import Steps, assert_as_near_as_torch, sgd

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.engine.linear import MIN_BATCH, MIN_ELEMENTS
from distreal_sim.thinning.engine.memory import Memory, RowIndex
from distreal_sim.thinning.engine.update import Descent
from distreal_sim.thinning.masks import Mask, sample_mask
from distreal_sim.thinning.structure import ThinningError, kept_elements

every_optimiser = pytest.mark.parametrize(
    ("momentum", "weight_decay"),
    [(0.0, 0.0), (0.9, 0.01), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((0.9, 0.0), (0.0, 0.01)))],
)
"""Neither and both; one alone in the slow tests."""


@every_optimiser
def test_dense_steps_are_torchs_sgd(step_net, momentum, weight_decay):
    """Three float32 steps at falling rates: same losses, same bytes; a mask that drops nothing is no mask.

    Large linear layers add the gradient's product onto the weight, which sums in another order: there the
    steps are as near to float64's as torch's own are.
    """
    module, x, y = step_net.module.float(), step_net.x.float(), step_net.y
    structure = find_groups(module, x)
    options = {"momentum": momentum, "weight_decay": weight_decay}
    engine = Engine(module, structure, **options)
    full = sample_mask(structure, structure.full_counts(), np.random.default_rng(0))
    rates = {0.1: None, 0.05: full, 0.02: None}
    losses = [engine.step(x, y, mask, lr) for lr, mask in rates.items()]
    ours, plain = Steps(losses, engine.export()), sgd(module, x, y, list(rates), **options)
    if any(isinstance(p, torch.nn.Linear) and p.weight.numel() >= MIN_ELEMENTS for p in module.modules()):
        assert_as_near_as_torch(ours, plain, sgd(module, x, y, list(rates), **options, dtype=torch.float64))
        return
    assert ours.losses == plain.losses
    for name, array in plain.arrays.items():
        assert ours.arrays[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("weight_decay", "proximal"), [(0.0, 0.0), (0.01, 0.3)])
def test_the_product_of_a_large_layer_loses_no_digit(momentum, weight_decay, proximal):
    """One float32 update: each of the n products, their sum, and at most eight more operations round once, in
    any order, so that the error is at most (n + 8) u / (1 - (n + 8) u) times the sum of all terms' sizes
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), u = 2^-24.
    """
    rng = np.random.default_rng(18)
    n, lr = 24, 0.1
    shapes = {
        "weight": (330, 200),
        "velocity": (330, 200),
        "anchor": (330, 200),
        "g": (n, 330),
        "x": (n, 200),
    }
    given = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    w, v, a, g, x = (array.astype(np.float64) for array in given.values())
    gradient = g.T @ x + weight_decay * w + proximal * (w - a)
    sizes = abs(g).T @ abs(x) + weight_decay * abs(w) + proximal * (abs(w) + abs(a))
    v, v_sizes = momentum * v + gradient, momentum * abs(v) + sizes
    tensors = {name: torch.from_numpy(array.copy()) for name, array in given.items()}
    Descent(lr, momentum, weight_decay, proximal).along_product(
        tensors["weight"], tensors["g"], tensors["x"],
        tensors["velocity"] if momentum else None, tensors["anchor"] if proximal else None,
    )  # fmt: skip
    gamma = (n + 8) * 2.0**-24 / (1 - (n + 8) * 2.0**-24)
    assert (abs(tensors["weight"].numpy() - (w - lr * v)) <= gamma * (abs(w) + lr * v_sizes)).all()
    if momentum:
        assert (abs(tensors["velocity"].numpy() - v) <= gamma * v_sizes).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_with_one_mask_need_no_reading_in_between(own_net, momentum, random_mask):
    """Repeated masks work on what the first step gathered: the same bytes as if each were written back."""
    structure = find_groups(own_net.module, own_net.x)
    rng = np.random.default_rng(10)
    one, other = (random_mask(structure, rng) for _ in range(2))
    again = Mask(tuple(None if kept is None else kept.copy() for kept in one.kept))
    masks = [one, again, one, other, other, None, None, one, again]
    exported = []
    for read in (False, True):
        engine = Engine(own_net.module, structure, momentum=momentum, dtype=torch.float64)
        for mask in masks:
            engine.step(own_net.x, own_net.y, mask, 0.1)
            if read:
                engine.export()
                engine.forward(own_net.x, other)
        exported.append({name: array.tobytes() for name, array in engine.export().items()})
    assert exported[0] == exported[1]


@every_optimiser
def test_thinned_steps_equal_a_plain_twin(step_net, momentum, weight_decay, random_mask, zero_dropped):
    """Six steps with changing masks, dense ones between them, float64, 1e-9.

    The twin runs the full network with dropped channels zeroed, and applies SGD's formulas to the kept
    coordinates one parameter at a time; dropped coordinates keep their bytes, their momentum too.
    """
    structure = find_groups(step_net.module, step_net.x)
    engine = Engine(
        step_net.module, structure, momentum=momentum, weight_decay=weight_decay, dtype=torch.float64
    )
    rng = np.random.default_rng(6)
    twin = copy.deepcopy(step_net.module)
    velocity = {name: np.zeros(tuple(p.shape)) for name, p in twin.named_parameters()}
    for number in range(6):
        mask = Mask((None,) * len(structure.groups)) if number == 3 else random_mask(structure, rng)
        before = engine.export()
        zeroed = zero_dropped(twin, structure, mask)
        F.cross_entropy(zeroed(step_net.x), step_net.y).backward()
        engine.step(step_net.x, step_net.y, mask, 0.1)
        after = engine.export()
        gradients = {name: p.grad.numpy() for name, p in zeroed.named_parameters()}
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                weight, v = parameter.numpy(), velocity[name]
                index = kept_elements(structure.tensors[name], mask.kept)
                v[index] = momentum * v[index] + gradients[name][index] + weight_decay * weight[index]
                weight[index] -= 0.1 * v[index]
                np.testing.assert_allclose(after[name], weight, rtol=0, atol=1e-9, err_msg=name)
                dropped = np.ones(weight.shape, bool)
                dropped[index] = False
                assert after[name][dropped].tobytes() == before[name][dropped].tobytes(), name


def test_extract_then_scatter_changes_no_byte(coupled, random_mask):
    """Arenas filled with random bit patterns (NaNs and -0.0 among them) survive gather and scatter."""
    structure = find_groups(coupled.module, coupled.x)
    rng = np.random.default_rng(7)
    rows = RowIndex(structure.tensors)
    memory = Memory(structure.tensors, rows.arenas, "cpu", torch.float32)
    for arena in memory.arenas:
        arena.numpy().view(np.uint32)[:] = rng.integers(0, 2**32, tuple(arena.shape), np.uint32)
    for number in range(3):
        mask = random_mask(structure, rng)
        before = {name: tensor.numpy().tobytes() for name, tensor in memory.full.items()}
        cut = rows.cut(mask.counts(structure), structure.full_counts())
        index = rows.rows(cut, mask.kept)
        memory.gather(index)
        if number == 0:
            for name, thinned in memory.thinned(cut).items():
                full = memory.full[name].numpy()
                expected = full[kept_elements(structure.tensors[name], mask.kept)] if full.ndim else full
                assert thinned.numpy().tobytes() == expected.tobytes(), name
        memory.scatter(index)
        assert {name: tensor.numpy().tobytes() for name, tensor in memory.full.items()} == before


def test_zero_learning_rate_changes_no_byte(step_net, random_mask):
    structure = find_groups(step_net.module, step_net.x)
    engine = Engine(step_net.module, structure, momentum=0.9, weight_decay=0.1, dtype=torch.float64)
    arrays = {name: np.where(a > 0.2, -0.0, a) for name, a in engine.export().items()}
    engine.load(arrays)
    for mask in (random_mask(structure, np.random.default_rng(8)), None):
        engine.step(step_net.x, step_net.y, mask, 0.0)
    assert {n: a.tobytes() for n, a in engine.export().items()} == {n: a.tobytes() for n, a in arrays.items()}


def test_load_copies_and_clears_momentum(step_net, random_mask):
    """A run after `load` repeats the first one; the caller's arrays are neither changed nor aliased."""
    structure = find_groups(step_net.module, step_net.x)
    engine = Engine(step_net.module, structure, momentum=0.9, dtype=torch.float64)
    start = engine.export()
    frozen = {name: array.copy() for name, array in start.items()}
    for array in frozen.values():
        array.setflags(write=False)
    masks = [random_mask(structure, np.random.default_rng(9)) for _ in range(3)]
    runs = []
    for arrays in (start, frozen):
        engine.load(arrays)
        losses = [engine.step(step_net.x, step_net.y, mask, 0.1) for mask in masks]
        runs.append((losses, {n: a.tobytes() for n, a in engine.export().items()}))
    assert runs[0] == runs[1]
    assert all(start[name].tobytes() == frozen[name].tobytes() for name in start)


def test_load_says_what_does_not_fit(own_net):
    engine = Engine(own_net.module, find_groups(own_net.module, own_net.x))
    arrays = engine.export()
    name = engine.names[0]
    with pytest.raises(InputError, match=f"'{name}' has shape \\(1,\\) where the network has"):
        engine.load({**arrays, name: np.zeros(1)})
    del arrays[name]
    with pytest.raises(InputError, match=f"lack parameter '{name}'"):
        engine.load(arrays)


@pytest.mark.parametrize("n", [MIN_BATCH - 1, MIN_BATCH])
@pytest.mark.parametrize("scaling", ["none", "inverted"])
def test_large_linear_layers_step_along_the_gradient(scaling, n, random_mask):
    """step = -lr * gradient, where `gradients` leaves the layers to autograd; float64, 1e-12."""
    rng = np.random.default_rng(14)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 20, 3), torch.nn.Flatten(), torch.nn.Linear(20 * 64, 200), torch.nn.ReLU(),
        torch.nn.Linear(200, 330), torch.nn.ReLU(), torch.nn.Linear(330, 4),
    )  # fmt: skip
    x, y = torch.from_numpy(rng.normal(size=(n, 1, 10, 10))), torch.from_numpy(rng.integers(0, 4, n))
    structure = find_groups(module.double(), x)
    engine = Engine(module, structure, scaling=scaling, dtype=torch.float64)
    for mask in (random_mask(structure, rng), None, random_mask(structure, rng)):
        before = engine.export()
        kept = mask.kept if mask else (None,) * len(structure.groups)
        loss, gradients = engine.gradients(x, y, mask)
        assert engine.step(x, y, mask, 0.1) == pytest.approx(loss, rel=1e-13)
        for name, after in engine.export().items():
            index = kept_elements(structure.tensors[name], kept)
            expected = before[name].copy()
            expected[index] -= 0.1 * gradients[name].numpy()
            np.testing.assert_allclose(after, expected, rtol=0, atol=1e-12, err_msg=name)


def test_a_large_layer_may_be_followed_by_a_change_in_place():
    """Same outcome with nn.ReLU(inplace=True) as without, for batches on both ways of the forward product."""
    rng = np.random.default_rng(16)
    for n in (MIN_BATCH - 1, MIN_BATCH):
        x, y = torch.from_numpy(rng.normal(size=(n, 1, 10, 10))), torch.from_numpy(rng.integers(0, 2, n))
        results = []
        for inplace in (False, True):
            torch.manual_seed(1)
            module = torch.nn.Sequential(
                torch.nn.Conv2d(1, 20, 3), torch.nn.Flatten(), torch.nn.Linear(1280, 200),
                torch.nn.ReLU(inplace=inplace), torch.nn.Linear(200, 2),
            ).double()  # fmt: skip
            engine = Engine(module, find_groups(module, x), dtype=torch.float64)
            engine.step(x, y, None, 0.1)
            results.append({name: a.tobytes() for name, a in engine.export().items()})
        assert results[0] == results[1]


def test_a_weight_that_is_penalised_too_is_left_to_autograd():
    """The forward pass reads the large weight twice, so that its gradient comes in two parts; 1e-12."""

    class Penalised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(700, 200), torch.nn.Linear(200, 2)

        def forward(self, x):
            return self.b(self.a(x).relu()) * (1 + self.a.weight.square().sum())

    rng = np.random.default_rng(15)
    module, x, y = Penalised().double(), torch.from_numpy(rng.normal(size=(3, 700))), torch.tensor([0, 1, 1])
    structure = find_groups(module, x)
    engine = Engine(module, structure, momentum=0.9, dtype=torch.float64)
    mask = sample_mask(structure, (77,), rng)
    _, gradients = engine.gradients(x, y, mask)
    before = engine.export()["a.weight"]
    engine.step(x, y, mask, 0.1)
    expected = before[mask.kept[0]] - 0.1 * gradients["a.weight"].numpy()
    np.testing.assert_allclose(engine.export()["a.weight"][mask.kept[0]], expected, rtol=0, atol=1e-12)


def test_a_large_layer_that_is_used_twice_in_a_step_is_left_to_autograd():
    """The loss runs the network twice, so that the weight's gradient comes in two parts; float64, 1e-12."""
    rng = np.random.default_rng(17)
    module = torch.nn.Sequential(torch.nn.Linear(700, 200), torch.nn.Tanh(), torch.nn.Linear(200, 2)).double()
    x, y = torch.from_numpy(rng.normal(size=(3, 700))), torch.tensor([0, 1, 1])
    structure = find_groups(module, x)
    engine = Engine(module, structure, dtype=torch.float64)
    twin = copy.deepcopy(module)
    loss = F.cross_entropy(twin(x) + twin(0.5 * x), y)
    loss.backward()
    assert engine.step(x, y, None, 0.1, run=lambda net, x: net(x) + net(0.5 * x)) == loss.item()
    for parameter, array in zip(twin.parameters(), engine.export().values(), strict=True):
        expected = (parameter - 0.1 * parameter.grad).detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-12)


def test_frozen_and_unused_parameters_stay():
    """A frozen parameter has no name here; one without a gradient is left alone, as torch.optim.SGD does."""

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
            self.unused = torch.nn.Parameter(torch.ones(4))
            self.a.bias.requires_grad_(False)

        def forward(self, x):
            return self.b(self.a(x).relu())

    module, x, y = Part(), torch.ones(2, 3), torch.tensor([0, 1])
    structure = find_groups(module, x)
    engine = Engine(module, structure, momentum=0.9, weight_decay=0.5)
    assert engine.names == ("unused", "a.weight", "b.weight", "b.bias")
    before = engine.export()
    engine.step(x, y, Mask((np.array([1, 3]),)), 0.1)
    after = engine.export()
    assert after["unused"].tobytes() == before["unused"].tobytes()
    assert after["a.weight"][[0, 2]].tobytes() == before["a.weight"][[0, 2]].tobytes()
    assert not np.array_equal(after["b.weight"][:, [1, 3]], before["b.weight"][:, [1, 3]])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_through_other_weights(momentum):
    """A forward pass that puts something else in a large layer's place, here half of its weight: its gradient
    reaches the weight, as in a plain loop.
    """
    module = torch.nn.Sequential(
        torch.nn.Linear(20, 300), torch.nn.ReLU(), torch.nn.Linear(300, 300)
    ).double()
    assert module[2].weight.numel() >= MIN_ELEMENTS
    rng = np.random.default_rng(4)
    x, y = torch.from_numpy(rng.normal(size=(8, 20))), torch.from_numpy(rng.integers(0, 300, 8))

    def run(network, x):
        halves = {name: value / 2 for name, value in network.named_parameters()}
        return torch.func.functional_call(network, halves, (x,))

    engine = Engine(module, find_groups(module, x), momentum=momentum, dtype=torch.float64)
    plain = copy.deepcopy(module)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.5, momentum=momentum)
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(run(plain, x), y).backward()
        optimiser.step()
        engine.step(x, y, None, 0.5, run=run)
    for (name, parameter), array in zip(plain.named_parameters(), engine.export().values(), strict=True):
        assert not np.allclose(array, module.get_parameter(name).detach().numpy(), atol=1e-6)
        np.testing.assert_allclose(array, parameter.detach().numpy(), rtol=0, atol=1e-12, err_msg=name)


def test_a_large_weight_that_the_loss_uses_too_is_refused():
    """Its layer's part of the gradient is on the weight already when the other part comes."""
    module = torch.nn.Sequential(torch.nn.Linear(20, 300), torch.nn.ReLU(), torch.nn.Linear(300, 300))
    x, y = torch.randn(8, 20), torch.arange(8)
    engine = Engine(module, find_groups(module, x))

    def run(network, x):
        return network(x) + network[2].weight.square().mean()

    with pytest.raises(ThinningError, match=r"^'2.weight' is used by its layer and beside it too"):
        engine.step(x, y, None, 0.1, run=run)
