"""Networks whose copies would train in another way are refused; others train as with torch.optim.

Every client trains a copy of the network on tensors of the engine's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from thinning.coupling.said import refusal
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine


class Net(nn.Module):
    """run(self, x), with named parts; what is not a module or parameter is a buffer."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            if isinstance(part, nn.Module | nn.Parameter):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def mlp(m: Any, x: Tensor) -> Tensor:
    return m.fc(F.relu(m.a(x)))


def with_hook(register: str, hook: Any) -> nn.Module:
    net = Net(mlp, a=nn.Linear(8, 6), fc=nn.Linear(6, 3))
    getattr(net.a.weight, register)(hook)
    return net


def tenth(parameter: nn.Parameter) -> None:
    assert parameter.grad is not None
    parameter.grad.mul_(0.1)


class KeepsFeature(nn.Module):
    """A hook, a function of the constructor, puts what `a` gives into the network that was constructed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = nn.Linear(8, 6), nn.Linear(6, 3)
        self.feature = torch.zeros(())

        def keep(module: nn.Module, args: Any, out: Tensor) -> None:
            self.feature = out.detach()

        self.a.register_forward_hook(keep)

    def forward(self, x: Tensor) -> Tensor:
        return mlp(self, x) + self.feature.mean()


class Scaled(nn.Module):
    """A lambda of the constructor reads a buffer of the network that was constructed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = nn.Linear(8, 6), nn.Linear(6, 3)
        self.register_buffer("scale", torch.ones(6))
        self.act = lambda h: F.relu(h) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.a(x)))


class MaxNorm(nn.Linear):
    """The constraint of EEGNet; no weight is as long as `longest` at the start."""

    longest = 100.0

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data = torch.renorm(self.weight.data, p=2, dim=0, maxnorm=self.longest)
        return super().forward(x)


class Clamped(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.bias.clamp_(-2, 2)
        return super().forward(x)


def routed(m: Any, x: Tensor) -> Tensor:
    """Every example goes through the expert of its highest score."""
    out, best = x.new_zeros(len(x), 6), m.gate(x).argmax(1)
    for number, expert in enumerate(m.experts):
        out[best == number] = expert(x[best == number])
    return m.fc(out)


def only_some(m: Any, x: Tensor) -> Tensor:
    rows = (x[:, 0] > 2.0).nonzero()[:, 0]
    h = F.relu(m.a(x))
    return m.fc(h.index_add(0, rows, m.b(h.index_select(0, rows))))


def packed(m: Any, x: Tensor) -> Tensor:
    """Sequences end where their first feature is no longer positive."""
    series = x[:, :, None].expand(-1, -1, 2)
    lengths = (x > -0.5).sum(1).clamp(1)
    own = nn.utils.rnn.pack_padded_sequence(series, lengths, batch_first=True, enforce_sorted=False)
    last: Tensor = m.fc(m.rnn(own)[1][-1])
    return last


def checkpointed(m: Any, x: Tensor) -> Tensor:
    return m.fc(checkpoint(m.b, F.relu(m.a(x)), use_reentrant=True))


def descended(m: Any, x: Tensor) -> Tensor:
    """One step of the hidden layer down an energy."""
    h = F.relu(m.a(x))
    (slope,) = torch.autograd.grad(m.b(h).tanh().sum(), h, create_graph=True)
    return m.fc(h - slope)


def by_backward(m: Any, x: Tensor) -> Tensor:
    h = F.relu(m.a(x)).detach().requires_grad_()
    m.b(h).tanh().sum().backward()
    return m.fc(h - h.grad)


EXPERTS = nn.ModuleList(nn.Linear(8, 6) for _ in range(3))

REFUSED = [
    (with_hook("register_hook", lambda g: g * 0.1),
     r"module 'a' \(Linear\).*a hook on its parameter 'weight'"),
    (with_hook("register_post_accumulate_grad_hook", tenth), "a hook on its parameter 'weight'"),
    (KeepsFeature(), r"module 'a' \(Linear\).*its hook is a function that refers to the network itself"),
    (Scaled(), r"the model \(Scaled\).*its attribute 'act' is a function that refers to the network itself"),
    (Net(lambda m, x: m.fc((F.relu(m.a(x)) * m.w).real), a=nn.Linear(8, 6), fc=nn.Linear(6, 3),
         w=nn.Parameter(torch.ones(6, dtype=torch.cfloat))), "its parameter 'w' is complex"),
    (Net(lambda m, x: m.fc(m.a(x.cfloat()).abs()), a=nn.Linear(8, 6, dtype=torch.cfloat), fc=nn.Linear(6, 3)),
     r"module 'a' \(Linear\).*its parameter 'weight' is complex"),
    (Net(mlp, a=MaxNorm(8, 6), fc=nn.Linear(6, 3)),
     r"module 'a' \(MaxNorm\).*changes its parameter 'weight'"),
    (Net(mlp, a=Clamped(8, 6), fc=nn.Linear(6, 3)), r"module 'a' \(Clamped\).*changes its parameter 'bias'"),
    (Net(routed, gate=nn.Linear(8, 3), experts=EXPERTS, fc=nn.Linear(6, 3)),
     r"module 'experts.0' \(Linear\).*as many rows as values of the input say"),
    (Net(only_some, a=nn.Linear(8, 6), b=nn.Linear(6, 6), fc=nn.Linear(6, 3)),
     r"module 'b' \(Linear\).*as many rows as values of the input say"),
    (Net(packed, rnn=nn.GRU(2, 6, batch_first=True), fc=nn.Linear(6, 3)),
     r"module 'rnn' \(GRU\).*as many rows as values of the input say"),
    (Net(checkpointed, a=nn.Linear(8, 6), b=nn.Linear(6, 6), fc=nn.Linear(6, 3)), "set use_reentrant=False"),
    *[(Net(run, a=nn.Linear(8, 6), b=nn.Linear(6, 6), fc=nn.Linear(6, 3)),
       r"the model \(Net\).*computes gradients in its forward pass") for run in (descended, by_backward)],
]  # fmt: skip


@pytest.mark.parametrize(("module", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(module: nn.Module, message: str) -> None:
    assert re.search(message, refusal(module, torch.zeros(4, 8)))


def test_an_embedding_with_a_longest_vector() -> None:
    """It would shorten vectors in the forward pass, none of which is too long at the start."""
    net = Net(lambda m, x: m.fc(m.e(x).mean(1)), e=nn.Embedding(9, 6, max_norm=100.0), fc=nn.Linear(6, 3))
    assert "changes its parameter 'weight'" in refusal(net, torch.zeros(4, 5, dtype=torch.long))


def rotated(m: Any, x: Tensor) -> Tensor:
    pairs = torch.view_as_complex(F.relu(m.a(x)).view(-1, 4, 2)) * m.turns
    return m.fc(torch.view_as_real(pairs).flatten(1))


def filtered(m: Any, x: Tensor) -> Tensor:
    return m.fc(F.relu(m.a((x.to(m.turns.dtype) * m.turns).imag)))


def turns(n: int) -> Tensor:
    return torch.polar(torch.ones(n), torch.arange(n) + 0.5)


def halved(module: nn.Module, grad_input: Any, grad_output: Any) -> tuple[Tensor]:
    return (grad_input[0] / 2,)


def hooked_by_module() -> nn.Module:
    net = Net(mlp, a=nn.Linear(8, 6), fc=nn.Linear(6, 3))
    net.fc.register_full_backward_hook(halved)
    return net


TRAINED = {
    "complex buffer, as in rotary embeddings": (
        lambda: Net(rotated, a=nn.Linear(8, 8), fc=nn.Linear(8, 3), turns=turns(4)), 0),
    "complex buffer on the inputs": (
        lambda: Net(filtered, a=nn.Linear(8, 6), fc=nn.Linear(6, 3), turns=turns(8)), 0),
    "gradient hook on a module": (hooked_by_module, 0),
    "sparse embedding": (
        lambda: Net(lambda m, x: m.fc(m.e(x).mean(1)), e=nn.Embedding(9, 6, sparse=True), fc=nn.Linear(6, 3)),
        9),
    "sparse bag": (
        lambda: Net(lambda m, x: m.fc(m.e(x)), e=nn.EmbeddingBag(9, 6, sparse=True), fc=nn.Linear(6, 3)), 9),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAINED)
def test_trained_as_torch_does(name: str) -> None:
    """Four steps of the full network with momentum and weight decay, against torch.optim.SGD."""
    make, n_tokens = TRAINED[name]
    torch.manual_seed(3)
    module = make().train()
    x = torch.randint(n_tokens, (4, 6, 5)) if n_tokens else torch.randn(4, 6, 8)
    y = torch.randint(3, (4, 6))
    engine = Engine(module, find_groups(module, x[0]), momentum=0.9, weight_decay=0.01)
    engine.load({n: p.detach().numpy() for n, p in module.named_parameters()})
    torchs = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for own_x, own_y in zip(x, y, strict=True):
        engine.step(own_x, own_y, None, 0.1)
        torchs.zero_grad()
        F.cross_entropy(module(own_x), own_y).backward()
        for parameter in module.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        torchs.step()
    for key, array in engine.export().items():
        expected = module.get_parameter(key).detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6, err_msg=key)
