"""Statistics and test results against a plain module in evaluation mode."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scores import loss_and_hits
from torch import nn

from distreal_sim.thinning.coupling.cut import cut
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.statistics import batch_statistics, mean_statistics
from distreal_sim.thinning.structure import axis_positions


def test_equals_torchs_cumulative_average(own_net):
    """`momentum=None` in torch's batch norm is the same average; then both evaluate alike, float64, 1e-6.

    (Statistics travel as float32.) Two shards added give the same as one.
    """
    rng = np.random.default_rng(13)
    batches = [torch.from_numpy(rng.normal(size=(n, *own_net.x.shape[1:]))) for n in (4, 6, 3)]
    plain = copy.deepcopy(own_net.module)
    for part in plain.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.momentum = None
            part.reset_running_stats()
    with torch.no_grad():
        for x in batches:
            plain(x)
    plain.eval()
    engine = Engine(own_net.module, find_groups(own_net.module, own_net.x), dtype=torch.float64)
    sums = batch_statistics(engine, batches[:2])
    more = batch_statistics(engine, batches[2:])
    statistics = mean_statistics({name: sums[name] + more[name] for name in sums}, 3)
    expected = {n: b for n, b in plain.named_buffers() if "running" in n}
    assert engine.has_statistics == bool(expected)
    assert set(statistics) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(statistics[name], value, rtol=1e-6, atol=1e-7)
    loss_sum, n_correct = loss_and_hits(engine, statistics, own_net.x, own_net.y)
    outputs = plain(own_net.x)
    assert loss_sum == pytest.approx(F.cross_entropy(outputs, own_net.y, reduction="sum").item(), rel=1e-5)
    assert n_correct == int((outputs.argmax(1) == own_net.y).sum())


def test_without_statistics_each_batch_has_its_own(own_net):
    """Equals the network in training mode (none of these has dropout), and training goes on undisturbed."""
    structure = find_groups(own_net.module, own_net.x)
    engine, other = (Engine(own_net.module, structure, dtype=torch.float64) for _ in range(2))
    loss_sum, _ = loss_and_hits(engine, {}, own_net.x, own_net.y)
    expected = F.cross_entropy(copy.deepcopy(own_net.module)(own_net.x), own_net.y, reduction="sum")
    assert loss_sum == pytest.approx(expected.item(), rel=1e-12)
    batch_statistics(engine, [own_net.x])
    assert engine.step(own_net.x, own_net.y, None, 0.1) == other.step(own_net.x, own_net.y, None, 0.1)


def test_a_sub_network_is_the_full_one_with_dropped_channels_zeroed(coupled, random_mask, zero_dropped):
    """In evaluation mode, with the same statistics of the kept channels: loss and hits agree, float64, 1e-9.

    Channels that an addition or a concatenation aligns wrongly would show; independent indices of the layers
    that meet at an identity skip are the mistake of a public implementation of random sub-networks. Behind it
    the full width is tested as ever.
    """
    rng = np.random.default_rng(5)
    structure = find_groups(coupled.module, coupled.x)
    mask = random_mask(structure, rng)
    full = zero_dropped(coupled.module, structure, mask)
    whole, thinned = {}, {}
    for name, part in full.named_modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            positions = axis_positions(structure.tensors[f"{name}.weight"].axes[0], mask.kept)
            drawn = {"mean": rng.normal(size=len(part.weight)), "var": rng.uniform(0.5, 2, len(part.weight))}
            for key, values in drawn.items():
                part.get_buffer(f"running_{key}").copy_(torch.from_numpy(values))
                whole[f"{name}.running_{key}"] = values
                thinned[f"{name}.running_{key}"] = values[positions]
    engine = Engine(coupled.module, structure, dtype=torch.float64)
    untouched = loss_and_hits(engine, whole, coupled.x, coupled.y)
    loss_sum, n_correct = loss_and_hits(engine, thinned, coupled.x, coupled.y, mask)
    outputs = full.eval()(coupled.x)
    assert loss_sum == pytest.approx(F.cross_entropy(outputs, coupled.y, reduction="sum").item(), rel=1e-9)
    assert n_correct == int((outputs.argmax(1) == coupled.y).sum())
    assert loss_and_hits(engine, whole, coupled.x, coupled.y) == untouched


def test_statistics_of_a_sub_network(own_net, random_mask):
    """Means over two batches at a mask's width are those of the network cut to these channels, 1e-6."""
    structure = find_groups(own_net.module, own_net.x)
    mask = random_mask(structure, np.random.default_rng(6))
    small = copy.deepcopy(own_net.module)
    cut(small, structure, mask.kept, mask.counts(structure))
    batches = [own_net.x, own_net.x[:3] + 1]
    for part in small.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.momentum = None
            part.reset_running_stats()
    with torch.no_grad():
        for x in batches:
            small(x)
    engine = Engine(own_net.module, structure, dtype=torch.float64)
    statistics = mean_statistics(batch_statistics(engine, batches, mask), 2)
    expected = {n: b for n, b in small.named_buffers() if "running" in n}
    assert set(statistics) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(statistics[name], value, rtol=1e-6, atol=1e-7)
