"""Networks to thin: every bundled model, and small ones with the couplings that those lack."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bundled import IMAGES, inputs_of, options_for
from torch import Tensor, nn

import distreal_sim.models
from distreal_sim.models import Model
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.masks import Mask, keep_counts, sample_mask
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import Structure, axis_positions, kept_elements


class ResidualConcat(nn.Module):
    """c(x) + concat(a(x), b(x)): the channels of c are those of a, then those of b; all are joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 7, 1)
        self.c, self.bn = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.d, self.e = nn.Conv2d(12, 6, 3), nn.Conv2d(18, 9, 1)
        self.out = nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        s = F.relu(torch.cat([self.a(x), self.b(x)], 1) + self.bn(self.c(x)))
        s = torch.cat([F.relu(self.d(s)), s[:, :, 1:-1, 1:-1]], dim=1)
        return self.out(F.relu(self.e(s)).mean((2, 3)))


class Depthwise(nn.Module):
    """A depthwise convolution, one with two filters a channel, and an identity skip around a third."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.one, self.bn = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.point = nn.Conv2d(16, 10, 1)
        self.three = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.out = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.one(F.relu(self.stem(x)))))
        x = F.relu(self.point(F.relu_(self.two(x))))
        x = x + self.three(x)
        return self.out(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Grouped(nn.Module):
    """Convolutions in 2 and in 3 groups that share a residual group, which so has 6 blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1, groups=3)
        self.a, self.bn = nn.Conv2d(12, 12, 3, padding=1, groups=2), nn.BatchNorm2d(12)
        self.b = nn.Conv2d(12, 18, 1)
        self.c = nn.Conv2d(18, 8, 3, groups=2)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.bn(self.a(x)) + x)
        return self.out(F.relu(self.c(F.relu(self.b(x)))).amax(dim=(2, 3)))


class Temporal(nn.Module):
    """Conv1d with BatchNorm1d, a flatten with 5 positions a channel, batch norm behind it, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn = nn.Conv1d(2, 6, 3, padding=1), nn.BatchNorm1d(6)
        self.b = nn.Conv1d(6, 7, 3, stride=2, padding=1)
        self.flat = nn.BatchNorm1d(35)
        self.c, self.out = nn.Linear(35, 11), nn.Linear(11, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.b(F.relu(self.bn(self.a(x)))))
        x = self.flat(x.reshape(len(x), -1))
        return self.out(F.relu(self.c(x)))


class Odd(nn.Module):
    """Flatten behind a permute, squeeze-and-excite, a scale per channel, one weight used twice, a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.squeeze, self.excite, self.gate = nn.Linear(6, 3), nn.Linear(3, 6), nn.Sigmoid()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 6).view(6, 1, 1))
        self.branch = nn.Conv2d(3, 5, 1)
        self.joined, self.out = nn.Linear(6 * 16 + 5 * 16, 9), nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.stem(x))
        for _ in range(2):
            y = F.relu(self.twice(y) * self.scale) + y
        y = y * self.gate(self.excite(F.relu(self.squeeze(y.mean((2, 3))))))[:, :, None, None]
        y = F.max_pool2d(y, 2).permute(0, 2, 3, 1)
        z = F.avg_pool2d(F.relu(self.branch(x)), 2)
        y = torch.cat([y.reshape(y.shape[0], -1), z.view(z.size(0), -1)], -1)
        return self.out(F.relu(self.joined(y)))


@dataclass(frozen=True)
class Net:
    """A network in training mode with inputs x (n, C, ...), labels y; grouped: has grouped convolutions."""

    module: nn.Module
    x: Tensor
    y: Tensor
    grouped: bool


_OWN = {
    "ResidualConcat": (3, 8, 8),
    "Depthwise": (3, 8, 8),
    "Grouped": (3, 8, 8),
    "Temporal": (2, 9),
    "Odd": (3, 8, 8),
}


def _bundled() -> list[tuple[str, type[Model], dict[str, str]]]:
    found = []
    for info in pkgutil.iter_modules(distreal_sim.models.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"distreal_sim.models.{info.name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and issubclass(cls, Model) and cls.__module__ == module.__name__:
                norms = ["none", "batch"] if "norm" in cls.model_fields else [""]
                plain = options_for(info.name)
                found += [
                    (f"{info.name} {n}".strip(), cls, plain | ({"norm": n} if n else {})) for n in norms
                ]
    return found


_BUNDLED = {name: (cls, options) for name, cls, options in _bundled()}


_LARGE = (
    "cnn_cifar",
    "densenet100_bc",
    "densenet40_bc",
    "femnist_cnn",
    "heterofl_cnn",
    "mobilenet_v2",
    "preresnet",
    "resnet18",
    "resnet20",
    "vgg11",
)
"""Bundled networks whose couplings are tested at an eighth of their width, for they do not depend on it;
at full width by slow tests."""

_EIGHTH = " / 8"

_DEEP = ("densenet100_bc", "densenet40_bc", "preresnet", "resnet18", "vgg11")
"""Those of them that are deep and have no kind of layer of their own: in the slow tests at either width."""


@functools.cache
def _narrow(name: str) -> nn.Module:
    """A bundled network with an eighth of its channels, two at least."""
    cls, options = _BUNDLED[name]
    module = cls(**options).build((3, 32, 32), 10)
    structure = find_groups(module, torch.zeros(2, 3, 32, 32))
    return shrink(module, structure, tuple(max(2, math.ceil(g.channels / 8)) for g in structure.groups))


def make_net(name: str) -> Net:
    """The network called `name`, its parameters, inputs and labels drawn from fixed seeds."""
    tokens = None
    if name in _OWN:
        module, shape, n_classes = globals()[name](), _OWN[name], 4
    elif name.endswith(_EIGHTH):
        module, shape, n_classes = copy.deepcopy(_narrow(name.removesuffix(_EIGHTH))), (3, 32, 32), 10
    else:
        cls, options = _BUNDLED[name]
        inputs, n_classes = inputs_of(name.split()[0]), 10
        shape, tokens = inputs.shape, inputs.vocabulary
        if inputs is IMAGES:
            shape = (1, 28, 28) if "femnist" in name else (3, 32, 32)
        module = cls(**options).build(shape, n_classes, tokens)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # its draws depend on the width
    rng = np.random.default_rng(len(name))
    with torch.no_grad():
        for parameter in module.parameters():
            fan = max(1, parameter[0].numel())
            values = rng.normal(0.1 if parameter.dim() == 1 else 0, fan**-0.5, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values))
    x = torch.from_numpy(rng.integers(tokens, size=(4, *shape)) if tokens else rng.normal(size=(4, *shape)))
    y = torch.from_numpy(rng.integers(0, n_classes, 4))
    grouped = any(getattr(part, "groups", 1) > 1 for part in module.modules())
    return Net(module.double().train(), x, y, grouped)


def _is_large(name: str) -> bool:
    return name.split()[0] in _LARGE


@pytest.fixture(
    params=[
        *_OWN,
        *(
            pytest.param(
                name + _EIGHTH if _is_large(name) else name,
                marks=[pytest.mark.slow] if name.split()[0] in _DEEP or name.endswith(" none") else [],
            )
            for name in _BUNDLED
        ),
        *(pytest.param(name, marks=pytest.mark.slow) for name in _BUNDLED if _is_large(name)),
    ]
)
def net(request: pytest.FixtureRequest) -> Net:
    """Every network, in float64."""
    return make_net(request.param)


@pytest.fixture(params=[*_OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in _BUNDLED)])
def coupled(request: pytest.FixtureRequest) -> Net:
    """The small networks, which have every kind of coupling, and in the slow tests every bundled one."""
    return make_net(request.param)


@pytest.fixture(params=list(_OWN))
def own_net(request: pytest.FixtureRequest) -> Net:
    """The small networks, in float64."""
    return make_net(request.param)


def _random_mask(structure: Structure, rng: np.random.Generator) -> Mask:
    every = structure.thinnable(drop_linear=True)
    if not every:  # a network without hidden channels
        return Mask(())
    rates = rng.uniform(0.1, 0.9, len(every))
    rates[rng.integers(len(every))] = 0.0
    return sample_mask(structure, keep_counts(structure, rates, every), rng)


def _zero_dropped(module: nn.Module, structure: Structure, mask: Mask) -> nn.Module:
    """A full-width copy that zeroes dropped channels behind every layer, norm and gate, by forward hooks."""
    full = copy.deepcopy(module)
    last: list[np.ndarray | None] = [None]

    def hook_for(
        positions: np.ndarray | None, dim: int
    ) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        def zero(part: nn.Module, args: tuple[Tensor], out: Tensor) -> Tensor:
            keep = last[0] if positions is None else positions
            last[0] = keep
            if isinstance(out, tuple):  # of a recurrent layer
                return (zero(part, args, out[0]), *out[1:])
            zeros = torch.zeros(out.shape[dim], dtype=out.dtype)
            zeros[torch.from_numpy(keep)] = 1
            return out * zeros.view(-1, *(1,) * (out.dim() - 1 - dim % out.dim()))

        return zero

    for name, part in full.named_modules():
        if isinstance(part, nn.Embedding):
            columns = axis_positions(structure.tensors[f"{name}.weight"].axes[1], mask.kept)
            part.register_forward_hook(hook_for(columns, -1))
        elif isinstance(part, nn.LSTM):  # a unit is zero in every step if its weights are
            for key, parameter in part.named_parameters():
                kept_only = torch.zeros_like(parameter)
                index = kept_elements(structure.tensors[f"{name}.{key}"], mask.kept)
                kept_only[index] = parameter.detach()[index]
                parameter.data.copy_(kept_only)
            units = axis_positions(structure.tensors[f"{name}.weight_hh_l0"].axes[1], mask.kept)
            part.register_forward_hook(hook_for(units, -1))
        elif f"{name}.weight" in structure.tensors:
            axis = structure.tensors[f"{name}.weight"].axes[0]
            dim = -1 if isinstance(part, nn.Linear | nn.LayerNorm) else 1
            part.register_forward_hook(hook_for(axis_positions(axis, mask.kept), dim))
        elif isinstance(part, nn.Sigmoid):  # sigmoid(0) is not 0: its channels are those of the layer before
            part.register_forward_hook(hook_for(None, 1))
    return full


@pytest.fixture(params=[*_OWN, pytest.param("cnn_cifar batch", marks=pytest.mark.slow)])
def step_net(request: pytest.FixtureRequest) -> Net:
    """The small networks, and in the slow tests one with linear layers that are large enough to be updated in
    place.
    """
    return make_net(request.param)


@pytest.fixture
def random_mask() -> Callable[[Structure, np.random.Generator], Mask]:
    """random_mask(structure, rng): another rate for every group, one group whole."""
    return _random_mask


@pytest.fixture
def zero_dropped() -> Callable[[nn.Module, Structure, Mask], nn.Module]:
    """zero_dropped(module, structure, mask): see `_zero_dropped`."""
    return _zero_dropped


@pytest.fixture(name="make_net")
def make_net_fixture() -> Callable[[str], Net]:
    """make_net(name): see above."""
    return make_net
