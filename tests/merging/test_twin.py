"""The merge against plain loops over clients, steps and coordinates, for every kind of coupling."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from variants import by_default

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Update
from distreal_sim.merging.average import Weight, weighted_average
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure, kept_elements


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.inner = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.outer = nn.Conv2d(4, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = (x + self.outer(self.norm(self.inner(x)).relu())).relu()
        return self.head(x.mean((2, 3)))


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 2, 3, padding=1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = torch.cat([self.second(x).relu(), x], 1)
        return self.head(x.mean((2, 3)))


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 1),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def flattened() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 5), nn.ReLU(), nn.Linear(5, 3)
    )


class Tokens(nn.Module):
    """Patches as tokens: a position embedding (1, T, C) and a scale (1, 1, C), cut on their last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(2, 4, 3, stride=3)
        self.position, self.scale = nn.Parameter(torch.zeros(1, 4, 4)), nn.Parameter(torch.ones(1, 1, 4))
        self.hidden, self.head = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.hidden((x + self.position).relu() * self.scale).relu().mean(1))


class LastAxis(nn.Module):
    """Channels last: LayerNorm([H, W, C]), cut on its third axis."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Conv2d(2, 4, 3), nn.LayerNorm([4, 4, 4]), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.stem(x).permute(0, 2, 3, 1)).relu().mean((1, 2)))


def grouped_ends() -> nn.Module:
    """Grouped convolutions of which one reads fixed channels and one writes them."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, groups=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class Scalars(nn.Module):
    """A learned number without axes, and a weight used by a function beside the classifier's."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.position = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.stem, self.weight = nn.Conv2d(2, 4, 3), nn.Parameter(torch.ones(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = (self.stem(x) + self.position).relu() * self.gain
        return nn.functional.linear(x.mean((2, 3)), self.weight)


NETWORKS: list[Callable[[], nn.Module]] = [
    chain,
    Residual,
    Concatenated,
    grouped,
    depthwise,
    flattened,
    Tokens,
    LastAxis,
    grouped_ends,
    Scalars,
]


def random_steps(structure: Structure, n_steps: int, rng: np.random.Generator) -> list[Mask]:
    """Random non-empty kept sets: equally many in each block of a group, now and then everything."""
    masks = []
    for _ in range(n_steps):
        kept: list[np.ndarray | None] = []
        for group in structure.groups:
            size = group.channels // group.blocks
            n = int(rng.integers(1, size + 1))
            blocks = [b * size + np.sort(rng.permutation(size)[:n]) for b in range(group.blocks)]
            kept.append(None if n == size else np.concatenate(blocks))
        masks.append(Mask(tuple(kept)))
    return masks


def coverage_of(structure: Structure, masks: list[Mask]) -> tuple[np.ndarray | None, ...]:
    coverage: list[np.ndarray | None] = []
    for g, group in enumerate(structure.groups):
        rows = np.ones((len(masks), group.channels), bool)
        for row, mask in zip(rows, masks, strict=True):
            if mask.kept[g] is not None:
                row[:] = False
                row[mask.kept[g]] = True
        coverage.append(None if rows.all() else rows)
    return tuple(coverage)


def last_layer(module: nn.Module) -> list[str]:
    """Parameters of the linear layer that gives the outputs, the last one defined."""
    layers = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    return [f"{layers[-1]}.weight", f"{layers[-1]}.bias"] if layers else ["weight", "2.weight", "2.bias"]


@pytest.mark.parametrize("weight", by_default(get_args(Weight), ("trained_examples", "macs")))
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__.lower())
@pytest.mark.parametrize("dilute", [False, True], ids=["", "dilute"])
@pytest.mark.parametrize("parts", [False, True], ids=["", "parts"])
def test_equals_plain_loops(
    network: Callable[[], nn.Module], weight: Weight, dilute: bool, parts: bool
) -> None:
    """Four clients of random steps. The twin marks, step by step, the coordinates of the thinned tensors
    themselves (`kept_elements`, which the identity tests of the thinning tie to the network) and averages
    each coordinate over the clients with a Python loop; agreement to 1e-6 relative (float32), and to the byte
    where nobody or (without `dilute`) one client trained. dilute: the old value has the weight of the steps
    or clients that did not train a coordinate. parts: clients send some tensors only, and of the classifier
    only some rows count.
    """
    rng = np.random.default_rng([1, dilute, parts])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = network()
    structure = find_groups(module, torch.zeros(2, 2, 6, 6))
    old = {n: p.detach().numpy().copy() for n, p in module.named_parameters()}
    classifier = [name for name in last_layer(module) if name in old]
    rows = rng.random((4, len(old[classifier[0]]))) < 0.6
    updates, all_steps = [], []
    for client_id in range(4):
        n_steps = int(rng.integers(1, 4))
        masks = random_steps(structure, n_steps, rng)
        touched = {n: np.zeros((n_steps, *a.shape), bool) for n, a in old.items()}
        arrays = {n: a.copy() for n, a in old.items()}
        for s, mask in enumerate(masks):
            for name in old:
                index = kept_elements(structure.tensors[name], mask.kept)
                touched[name][(s, *index)] = True
        for name, a in arrays.items():
            changed = touched[name].any(axis=0)
            a[changed] = rng.normal(size=int(changed.sum()))
        if parts:
            arrays = {n: a for n, a in arrays.items() if rng.random() < 0.7}
            for name in old:
                if name in classifier:  # what a client sends for the other rows is not looked at
                    touched[name][:, ~rows[client_id]] = False
                touched[name][:] &= name in arrays
        examples = rng.integers(1, 9, n_steps)
        facts = Facts(
            client_id, "completed", int(rng.integers(1, 50)), n_steps, n_steps, 1, 1.0, 1.0, 1, 1, 1.0
        )
        macs = rng.integers(1, 10**9, n_steps)
        updates.append(Update(facts, arrays, Coverage(coverage_of(structure, masks), examples, macs)))
        all_steps.append(touched)

    outputs = {"outputs": lambda update: rows[update.facts.client_id]} if parts else {}
    merged = weighted_average(structure, old, iter(updates), weight, dilute=dilute, **outputs)

    assert merged.keys() == old.keys()
    n_by_count = [0] * 5
    for name, value in old.items():
        assert merged[name].dtype == np.float32
        assert merged[name].shape == value.shape
        for index in np.ndindex(value.shape):
            total = weights = 0.0
            trainers = []
            for u, touched in zip(updates, all_steps, strict=True):
                steps = touched[name][(slice(None), *index)]
                if weight in ("trained_examples", "macs"):
                    of_steps = u.coverage.macs if weight == "macs" else u.coverage.examples
                    w, whole = float(steps @ of_steps), float(of_steps.sum())
                else:
                    whole = float(u.facts.n_examples) if weight == "examples" else 1.0
                    w = whole * bool(steps.any())
                if w:
                    trainers.append(u)
                    total += w * float(u.arrays[name][index])
                    weights += w
                if dilute:
                    total += (whole - w) * float(value[index])
                    weights += whole - w
            n_by_count[len(trainers)] += 1
            got = merged[name][index]
            if len(trainers) < 2 - dilute:
                source = value if not trainers else trainers[0].arrays[name]
                assert got.tobytes() == source[index].tobytes()
            else:
                assert got == pytest.approx(total / weights, rel=1e-6, abs=1e-7)
    assert sum(n > 0 for n in n_by_count) >= 2  # the draw was no special case
