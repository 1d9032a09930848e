"""Networks of many kinds that are thinned rightly: outputs, gradients and costs against the full network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.thinning.structure import kept_elements


class Net(nn.Module):
    """run(self, x) over named parts."""

    def __init__(self, run: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def conv(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1)


def vector(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.linspace(0.5, 1.5, math.prod(shape)).view(shape))


def head(m: Any, x: Tensor) -> Tensor:
    return m.fc(F.relu(x).mean((2, 3)))


def tokens(m: Any, x: Tensor) -> Tensor:
    t = m.a(x).flatten(2).transpose(1, 2)
    t = torch.cat([m.cls.expand(len(x), -1, -1), t], 1) + m.pos[:, : t.shape[1] + 1]
    return m.fc(F.relu(t)[:, 0] + t.max(1)[0])


def written(m: Any, x: Tensor) -> Tensor:
    y, z = m.a(x).clone(), m.b(x)
    y[:, :, 1:] = z[:, :, 1:]
    return head(m, y)


def drop_path(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    keep = y.new_empty((len(x), 1, 1, 1)).fill_(0.5)
    return head(m, y + m.b(x) * keep.div_(0.8))


def tied(a: nn.Module, b: nn.Module) -> Net:
    net = Net(
        lambda m, x: head(m, m.b(F.relu(m.a(F.relu(m.stem(x)))))), stem=conv(3, 6), a=a, b=b, fc=linear(6)
    )
    net.b.weight = net.a.weight
    return net


def linear(n: int) -> nn.Linear:
    return nn.Linear(n, 3)


ACCEPTED: dict[str, Callable[[], nn.Module]] = {
    "slices of the input": lambda: Net(
        lambda m, x: head(m, torch.cat([m.a(x[:, :2]), m.b(x[:, 2:])], 1) + x[:, :1]),
        a=conv(2, 5), b=conv(1, 4), fc=linear(9)),
    "chunks of the input": lambda: Net(
        lambda m, x: head(m, m.a(x.chunk(3, 1)[0]) * m.b(x.unbind(1)[2][:, None])),
        a=conv(1, 5), b=conv(1, 5), fc=linear(5)),
    "layer scale": lambda: Net(
        lambda m, x: head(m, m.a(x) * m.g.view(1, -1, 1, 1) + m.h[:, None, None]),
        a=conv(3, 6), g=vector(6), h=vector(6), fc=linear(6)),
    "computed scale": lambda: Net(
        lambda m, x: head(m, m.a(x) * (F.softplus(m.g) * m.h.exp())[None, :, None, None]),
        a=conv(3, 6), g=vector(6), h=vector(6), fc=linear(6)),
    "class token": lambda: Net(
        tokens, a=nn.Conv2d(3, 6, 4, stride=4), cls=vector(1, 1, 6), pos=vector(1, 7, 6), fc=linear(6)),
    "tied weights": lambda: tied(conv(6, 6), conv(6, 6)),
    "drop path": lambda: Net(drop_path, a=conv(3, 6), b=conv(3, 6), fc=linear(6)),
    "zeros like": lambda: Net(
        lambda m, x: (lambda y: head(m, torch.cat([y, torch.zeros_like(y)], 1)))(m.a(x)),
        a=conv(3, 6), fc=linear(12)),
    "largest of the positions": lambda: Net(
        lambda m, x: (lambda y: m.fc(y.max(-1)[0] + y.min(2).values + y.std(2)))(m.a(x).flatten(2)),
        a=conv(3, 6), fc=linear(6)),
    "stack and mean": lambda: Net(
        lambda m, x: head(m, torch.stack([m.a(x), m.b(x)]).mean(0)),
        a=conv(3, 6), b=conv(3, 6), fc=linear(6)),
    "normalised": lambda: Net(
        lambda m, x: m.fc(F.normalize(F.normalize(m.a(x)).mean((2, 3)), p=1, dim=-1)),
        a=conv(3, 6), fc=linear(6)),
    "masked": lambda: Net(
        lambda m, x: (lambda y: head(m, y.masked_fill(y < 0.1, 0.0) * (y > 0).to(y.dtype)))(m.a(x)),
        a=conv(3, 6), fc=linear(6)),
    "transposed convolution": lambda: Net(
        lambda m, x: head(m, m.up(F.relu(m.a(x)))),
        a=conv(3, 6), up=nn.ConvTranspose2d(6, 5, 3, stride=2), fc=linear(5)),
    "transposed convolution of the input": lambda: Net(
        lambda m, x: head(m, m.a(m.up(x))),
        up=nn.ConvTranspose2d(3, 4, 2, stride=2), a=conv(4, 6), fc=linear(6)),
    "written whole": lambda: Net(written, a=conv(3, 6), b=conv(3, 6), fc=linear(6)),
    "zero padding of channels": lambda: Net(
        lambda m, x: head(m, m.b(F.relu(F.pad(m.a(x), (0, 0, 0, 0, 2, 1)) + m.c(x)))),
        a=conv(3, 5), c=conv(3, 8), b=conv(8, 4), fc=linear(4)),
    "matrix products": lambda: Net(
        lambda m, x: F.relu(F.relu(m.a(x).mean((2, 3))) @ m.w) @ m.v.t() + m.b,
        a=conv(3, 6), w=vector(6, 5), v=vector(3, 5), b=vector(3)),
    "properties": lambda: Net(
        lambda m, x: m.fc(F.relu(m.a(x).mT.mT).mean((2, 3)).T.T).T.T, a=conv(3, 6), fc=linear(6)),
    "detached branch": lambda: Net(
        lambda m, x: head(m, m.a(x) + m.b(F.relu(m.c(x))).detach()),
        a=conv(3, 6), b=conv(4, 6), c=conv(3, 4), fc=linear(6)),
}  # fmt: skip


def prepared(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(len(name))
    return ACCEPTED[name]().double().train(), torch.randn(4, 3, 8, 8).double(), torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize("name", ACCEPTED)
def test_thinned_is_the_full_network_with_zeros(name: str) -> None:
    """Dropped rows of every parameter are zero, behind ReLU and sums that is the dropped channel itself.

    Loss and gradients of the kept coordinates agree to 1e-9.
    """
    module, x, y = prepared(name)
    structure = find_groups(module, x)
    assert structure.groups
    engine = Engine(module, structure, dtype=torch.float64)
    rng = np.random.default_rng(3)
    for counts in (tuple(-(-g.channels // 2) for g in structure.groups), (1,) * len(structure.groups)):
        mask = sample_mask(structure, counts, rng)
        full = copy.deepcopy(module)
        index = {n: kept_elements(structure.tensors[n], mask.kept) for n, _ in full.named_parameters()}
        with torch.no_grad():
            for n, p in full.named_parameters():
                kept = torch.zeros_like(p)
                kept[index[n]] = 1
                p.mul_(kept)
        loss = F.cross_entropy(full(x), y)
        loss.backward()
        got, gradients = engine.gradients(x, y, mask)
        assert got == pytest.approx(loss.item(), rel=1e-9)
        for n, p in full.named_parameters():
            if n in gradients:
                np.testing.assert_allclose(gradients[n], p.grad[index[n]], rtol=0, atol=1e-9, err_msg=n)


@pytest.mark.parametrize("name", ACCEPTED)
def test_costs_are_torchs(name: str) -> None:
    """Two FLOPs a MAC, on 4 examples, forward and backward, at full width."""
    module, x, y = prepared(name)
    structure = find_groups(module, x)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(module(x), y).backward()
    assert counter.get_total_flops() == 2 * 4 * training_macs(structure, structure.full_counts())


@dataclass
class Output:
    logits: Tensor


@pytest.mark.parametrize(
    "wrap", [Output, lambda out: {"logits": [Output(out)]}, lambda out: out.T.T, lambda out: out.mT.mT]
)
def test_outputs_are_fixed(wrap: Callable[[Tensor], Any]) -> None:
    """The classes are no group, however they are handed out."""
    module = Net(lambda m, x: wrap(head(m, m.a(x))), a=conv(3, 6), fc=linear(6))
    assert [g.name for g in find_groups(module, torch.zeros(2, 3, 8, 8)).groups] == ["a"]


def test_what_a_module_writes_couples() -> None:
    """`y[:, :, 1:] = z[:, :, 1:]` makes the channels of y and z one group."""
    structure = find_groups(ACCEPTED["written whole"](), torch.zeros(2, 3, 8, 8))
    assert [(g.name, g.channels) for g in structure.groups] == [("a", 6)]


def test_softmax_over_hidden_channels_keeps_them_whole() -> None:
    """Weights over channels sum to 1 over all of them: no group; the layer before is one."""
    module = Net(
        lambda m, x: head(m, torch.softmax(m.b(F.relu(m.a(x))), 1) * m.c(x)),
        a=conv(3, 4), b=conv(4, 6), c=conv(3, 6), fc=linear(6),
    )  # fmt: skip
    assert [g.name for g in find_groups(module, torch.zeros(2, 3, 8, 8)).groups] == ["a"]
    other = Net(
        lambda m, x: m.fc(m.b(m.a(x).mean((2, 3))).softmax(-1)), a=conv(3, 4), b=nn.Linear(4, 6), fc=linear(6)
    )
    assert [g.name for g in find_groups(other, torch.zeros(2, 3, 8, 8)).groups] == ["a"]


def test_inverted_scaling_of_transposed_weights() -> None:
    """Both channels of x @ w and of a transposed convolution scaled by C / kept on their first axis.

    One of 2 channels kept, weights and input 1: the channel is 1, and the layer behind scales it by 2.
    """
    for layer in (nn.ConvTranspose2d(2, 3, 1, bias=False), None):
        module = Net(
            lambda m, x: m.up(m.a(x)).flatten(1) if m.up else m.a(x).flatten(1) @ m.w,
            a=nn.Conv2d(1, 2, 1, bias=False), up=layer, w=nn.Parameter(torch.ones(2, 3)),
        )  # fmt: skip
        for p in module.parameters():
            nn.init.ones_(p)
        structure = find_groups(module, torch.zeros(2, 1, 1, 1))
        mask = sample_mask(structure, (1,), np.random.default_rng(0))
        out = Engine(module, structure, scaling="inverted").forward(torch.ones(1, 1, 1, 1), mask)
        assert out.tolist() == [[2.0, 2.0, 2.0]]
