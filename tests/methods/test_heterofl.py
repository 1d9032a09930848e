"""HeteroFL: prefixes by level, labels that a client does not have, the scaler, clipping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from rounds import ROUND, updates_of
from torch import nn
from toys import toy, toy_fleet

from distreal_sim.methods.heterofl import HeteroFL
from distreal_sim.submodels.widths import width_counts
from distreal_sim.thinning.cost import n_parameters
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import kept_elements

UNLIMITED = {"name": "constant", "level": math.inf}


def test_levels_are_prefixes_each_part_of_the_wider_one() -> None:
    """Widths 1/16 to 1 of groups of 4, 8 and 16 channels: ceil(r K) = 1 1 1, 1 1 2, 1 2 4, 2 4 8, all."""
    task, _ = toy_fleet(toy(method={"name": "heterofl"}))
    structure = task.structure
    levels = sorted(width_counts(structure, r, "ceil") for r in HeteroFL().widths)
    assert levels == [(1, 1, 1), (1, 1, 2), (1, 2, 4), (2, 4, 8), (4, 8, 16)]
    masks = [first_mask(structure, counts) for counts in levels[:-1]]
    for mask, counts in zip(masks, levels, strict=False):
        assert [k.tolist() for k in mask.kept if k is not None] == [list(range(n)) for n in counts]


def test_a_client_takes_the_largest_level_that_fits() -> None:
    """Constant capacities: the level's planned work fits, the next one's does not; bytes are the sub-model's.

    A client that not even 1/16 fits downloads nothing.
    """
    slow = {"name": "tiers", "levels": [2e-3, 0.05, 0.3, 3.0]}
    task, _, updates = updates_of(toy(method={"name": "heterofl"}, profile=slow))
    levels = sorted(width_counts(task.structure, r, "ceil") for r in HeteroFL().widths)
    seen = set()
    for update in updates:
        facts = update.facts
        offered = task.devices.capacity(facts.client_id, 0.0).offered(0.0, task.deadline_s) * (1 + 1e-9)
        fitting = [c for c in levels if task.macs_per_example(c) * facts.n_examples <= offered]
        seen.add(len(fitting))
        if not fitting:
            assert (facts.status, facts.macs, facts.download_bytes, facts.upload_bytes) == (
                "dropped",
                0,
                0,
                0,
            )
            continue
        counts = fitting[-1]
        assert facts.status == "completed"
        assert facts.macs == task.macs_per_example(counts) * facts.n_examples
        assert facts.download_bytes == facts.upload_bytes == 4 * n_parameters(task.structure, counts)
        kept = [g.channels if k is None else int(k.any(0).sum())
                for g, k in zip(task.structure.groups, update.coverage.kept, strict=True)]  # fmt: skip
        assert tuple(kept) == counts
    assert len(seen) >= 3, "the clients are of different speeds"


def test_fixed_levels_have_exact_proportions() -> None:
    """12 clients, proportions 1 : 0 : 2 : 1: 3 at the first level, none at the second, 6, 3; for ever."""
    method = {"name": "heterofl", "assignment": "fixed", "proportions": [1, 0, 2, 1]}
    experiment = toy(method={**method, "widths": [1, 0.5, 0.25, 0.125]})
    task, _ = toy_fleet(experiment)
    drawn = [[experiment.method.assigned(task, n, c) for c in range(12)] for n in (1, 2)]
    assert drawn[0] == drawn[1]
    assert np.bincount(drawn[0], minlength=4).tolist() == [3, 0, 6, 3]
    assert drawn[0] != sorted(drawn[0]), "which clients is drawn, not given by their numbers"


def test_fixed_levels_are_rounded_to_the_nearest_number() -> None:
    """Three and seven tenths of 12 clients, 3.6 and 8.4, are 4 and 8."""
    method = {"name": "heterofl", "assignment": "fixed", "proportions": [3, 7], "widths": [1, 0.5]}
    experiment = toy(method=method)
    task, _ = toy_fleet(experiment)
    drawn = [experiment.method.assigned(task, 1, c) for c in range(12)]
    assert np.bincount(drawn).tolist() == [4, 8]


def test_dynamic_levels_are_drawn_each_round() -> None:
    """600 draws with probabilities 1/4, 3/4: the first has 150 +- 5 sqrt(600 * 3/16) = 150 +- 53."""
    method = {"name": "heterofl", "assignment": "dynamic", "widths": [1, 0.5], "proportions": [1, 3]}
    experiment = toy(method=method)
    task, _ = toy_fleet(experiment)
    drawn = np.array([[experiment.method.assigned(task, n, c) for c in range(12)] for n in range(1, 51)])
    assert abs((drawn == 0).sum() - 150) <= 53
    assert drawn.std(axis=0).min() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"assignment": "fixed", "proportions": [1, 2]}, "must be 5 numbers, one for each level"),
        ({"assignment": "fixed", "widths": [1, 0.5], "proportions": [0, 0]}, "at least one is not 0"),
        ({"widths": [1, 0.5], "proportions": [1, 1]}, "proportions are for assignment fixed or dynamic"),
    ],
)
def test_impossible_proportions(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HeteroFL.model_validate(options)


def test_rows_of_absent_classes_rest() -> None:
    """Clients without examples of class k: without weight decay its row stays in training (zero gradient);
    with it and momentum the row moves on the client, and the server still keeps its bytes. Rows of classes
    that somebody has are averaged over those clients only.
    """
    sharded: dict[str, Any] = {"partition": {"name": "shards", "classes_per_client": 2}}
    for decay in (0.0, 0.01):
        local = {"epochs": 1, "batch_size": 16, "lr": 0.1}
        local["optimizer"] = {"momentum": 0.9, "weight_decay": decay}
        experiment = toy(**sharded, local=local, method={"name": "heterofl"}, profile=UNLIMITED)
        task, state, updates = updates_of(experiment)
        cohort = updates[:3]
        has = np.array([np.isin(range(10), task.data.train.y[task.split[u.facts.client_id]]) for u in cohort])
        absent, held = ~has.any(axis=0), has.any(axis=0)
        assert absent.any()
        assert (has.sum(axis=0) < 3)[held].any()
        merged = experiment.method.merge(task, state, ROUND, iter(cohort)).arrays
        for name in ("linear.weight", "linear.bias"):
            moved = [(u.arrays[name] != state.arrays[name]).reshape(10, -1).any(axis=1) for u in cohort]
            assert np.array(moved)[has].all()
            assert set(np.array(moved)[~has].tolist()) == {decay > 0}
            assert merged[name][absent].tobytes() == state.arrays[name][absent].tobytes()
            for k in np.flatnonzero(held):
                mean = np.mean([u.arrays[name][k] for u, h in zip(cohort, has, strict=True) if h[k]], axis=0)
                np.testing.assert_allclose(merged[name][k], mean, rtol=1e-6)
        whole = np.mean([u.arrays["conv1.conv.weight"] for u in cohort], axis=0, dtype=np.float64)
        np.testing.assert_allclose(merged["conv1.conv.weight"], whole, rtol=1e-6)


def test_without_label_masks_every_row_is_trained() -> None:
    sharded: dict[str, Any] = {"partition": {"name": "shards", "classes_per_client": 2}}
    method = {"name": "heterofl", "mask_labels": False}
    experiment = toy(**sharded, method=method, profile=UNLIMITED)
    task, state, updates = updates_of(experiment)
    merged = experiment.method.merge(task, state, ROUND, iter(updates[:1])).arrays
    assert merged["linear.weight"].tobytes() == updates[0].arrays["linear.weight"].tobytes()
    assert (merged["linear.weight"] != state.arrays["linear.weight"]).any(axis=1).all()


class Chain(nn.Module):
    """Two convolutions and a hidden linear layer; what the public code puts behind each is `after`."""

    def __init__(self, after: float = 1.0, norm: bool = False) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 12, 3)
        self.na, self.nb = (nn.BatchNorm2d(8), nn.BatchNorm2d(12)) if norm else (nn.Identity(), nn.Identity())
        self.c, self.out = nn.Linear(12, 8), nn.Linear(8, 3)
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.na(self.a(x) / self.after).relu(), 2)
        x = self.nb(self.b(x) / self.after).relu().mean((2, 3))
        return self.out((self.c(x) / self.after).relu())


def small_chain(full: Chain, counts: tuple[int, ...], after: float) -> Chain:
    """The first channels of `full` in a network of their own that divides by `after`."""
    structure = find_groups(full, torch.zeros(2, 1, 8, 8))
    small = Chain(after)
    for name in [n for n, _ in small.named_parameters()]:
        index = kept_elements(structure.tensors[name], first_mask(structure, counts).kept)
        value = torch.from_numpy(dict(full.named_parameters())[name].detach().numpy()[index])
        parent = small.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], nn.Parameter(value.double()))
    return small.double()


def test_scaler_without_normalisation_is_a_division_by_the_level() -> None:
    """At width 1/4 of 8, 12 and 8 channels, 2, 3 and 2: channels / kept = 4 = 1 / r. A network that divides
    the output of each hidden layer by r = 1/4, as the public code does, gives the same loss in float64; in
    evaluation the full width has no scaler (one public code of a later method divides there, too).
    """
    torch.manual_seed(1)
    full = Chain()
    structure = find_groups(full, torch.zeros(2, 1, 8, 8))
    scaling = HeteroFL().scaling_of(full)
    assert scaling == "inverted"
    engine = Engine(full, structure, scaling=scaling, dtype=torch.float64)
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    counts = width_counts(structure, 0.25, "ceil")
    assert counts == (2, 3, 2)
    loss, _ = engine.gradients(x, y, first_mask(structure, counts))
    expected = F.cross_entropy(small_chain(full, counts, 0.25)(x), y)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert abs(loss - F.cross_entropy(small_chain(full, counts, 1.0)(x), y).item()) > 1e-3
    with engine.testing() as (module, _):
        torch.testing.assert_close(module(x), full.double()(x), rtol=1e-12, atol=0)


def test_scaler_before_a_normalisation_is_undone_by_it() -> None:
    """Batch norm in training mode of x / r and of x differ by its epsilon only: less than 1e-3. That is why
    the method leaves the scaler out of networks with normalisation.
    """
    norm, x = nn.BatchNorm2d(4).train(), torch.randn(32, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    group = nn.GroupNorm(2, 4)
    for layer in (norm, group):
        assert (layer(x * 16) - layer(x)).abs().max() < 1e-3
        assert HeteroFL().scaling_of(nn.Sequential(nn.Conv2d(1, 4, 3), layer)) == "none"
    assert HeteroFL(scaler=False).scaling_of(Chain()) == "none"
    assert HeteroFL().scaling_of(Chain(norm=True)) == "none"
