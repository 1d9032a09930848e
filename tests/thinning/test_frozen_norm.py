"""Batch norm that the network keeps in evaluation mode normalises with the statistics it came with."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scores import loss_and_hits
from torch import Tensor, nn

from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.statistics import batch_statistics, mean_statistics


class Frozen(nn.Module):
    """The usual way: `train` puts the norm back into evaluation mode; its weight and bias are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 3)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        return self.out(F.relu(self.norm2(self.conv2(x))).mean((2, 3)))


class _Backbone(nn.Sequential):
    def train(self, mode: bool = True) -> _Backbone:
        super().train(False)
        return self


class FrozenPart(nn.Module):
    """A backbone that is never in training mode, norm without weight and bias, and frozen convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6, affine=False), nn.Dropout(0.5), nn.ReLU()
        )
        self.backbone.requires_grad_(False)
        self.head = nn.Sequential(nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.head(self.backbone(x)).mean((2, 3)))


def with_statistics(module: nn.Module) -> nn.Module:
    """The module in float64, with other statistics than torch's first ones."""
    rng = np.random.default_rng(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.from_numpy(rng.normal(size=part.num_features)))
            part.running_var.copy_(torch.from_numpy(rng.uniform(0.5, 2, part.num_features)))
    return module.double().train()


X, Y = torch.randn(5, 2, 7, 7, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("network", [Frozen, FrozenPart])
@pytest.mark.parametrize("running", [False, True])
def test_full_steps_are_torchs(network: type[nn.Module], running: bool) -> None:
    """Five steps of torch.optim.SGD on the plain module, its statistics standing still: the same bits."""
    module = with_statistics(network())
    engine = Engine(
        module,
        find_groups(module, X),
        momentum=0.9,
        weight_decay=0.01,
        running=running,
        dtype=torch.float64,
    )
    plain = copy.deepcopy(module).train()
    optimizer = torch.optim.SGD(
        [p for p in plain.parameters() if p.requires_grad], lr=0.1, momentum=0.9, weight_decay=0.01
    )
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(plain(X), Y)
        loss.backward()
        optimizer.step()
        assert engine.step(X, Y, None, 0.1) == loss.item()
    after = engine.export()
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            np.testing.assert_array_equal(after[name], parameter.detach().numpy())


@pytest.mark.parametrize("network", [Frozen, FrozenPart])
def test_thinned_steps_equal_the_zeroed_network(network, random_mask, zero_dropped) -> None:
    """Dropped channels zeroed behind every layer and norm; loss and kept gradients agree to 1e-9."""
    from distreal_sim.thinning.structure import kept_elements

    module = with_statistics(network())
    structure = find_groups(module, X)
    engine = Engine(module, structure, dtype=torch.float64)
    rng = np.random.default_rng(2)
    for _ in range(3):
        mask = random_mask(structure, rng)
        full = zero_dropped(module, structure, mask)
        loss = F.cross_entropy(full(X), Y)
        loss.backward()
        got, gradients = engine.gradients(X, Y, mask)
        assert got == pytest.approx(loss.item(), abs=1e-9)
        for name, gradient in gradients.items():
            kept = dict(full.named_parameters())[name].grad.numpy()
            kept = kept[kept_elements(structure.tensors[name], mask.kept)]
            np.testing.assert_allclose(gradient.numpy(), kept, atol=1e-9)


def test_tests_use_them_too() -> None:
    """Only the other norm's statistics are estimated; the test equals the module in evaluation mode."""
    module = with_statistics(Frozen())
    engine = Engine(module, find_groups(module, X), dtype=torch.float64)
    statistics = mean_statistics(batch_statistics(engine, [X]), 1)
    assert set(statistics) == {"norm2.running_mean", "norm2.running_var"}
    plain = copy.deepcopy(module).eval()
    for key in ("running_mean", "running_var"):
        setattr(plain.norm2, key, torch.from_numpy(statistics[f"norm2.{key}"]).double())
    expected = F.cross_entropy(plain(X), Y, reduction="sum").item()
    assert loss_and_hits(engine, statistics, X, Y)[0] == pytest.approx(expected, rel=1e-12)
