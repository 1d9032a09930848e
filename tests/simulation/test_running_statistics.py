"""evaluation.batch_norm running: torch's running statistics, averaged like weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import ROUND, play, updates_of
from torch import nn
from toys import toy, toy_fleet

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.simulation.play import final_model
from distreal_sim.simulation.rounds import Progress
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import first_mask

RUNNING: dict[str, Any] = {
    "evaluation": {"batch_norm": "running"},
    "profile": {"name": "constant", "level": math.inf},
    "method": {"name": "fedavg"},
}


def test_equals_plain_torch_with_averaged_state_dicts() -> None:
    """Clients train a copy in training mode with torch.optim.SGD; the mean of their state dicts, weighted by
    examples, is the merged state (1e-5), and in evaluation mode gives its accuracy and its loss (1e-4).

    Several public codes average `parameters()` only, so that the buffers, which hold the statistics, stay
    those of one client or of the initial model.
    """
    experiment = toy(**RUNNING)
    task, state, updates = updates_of(experiment, n_clients=3)
    merged = experiment.method.merge(task, state, ROUND, iter(updates)).arrays
    total: dict[str, torch.Tensor] = {}
    n_all = sum(len(task.split[c]) for c in range(3))
    for client in range(3):
        own = copy.deepcopy(task.module).train()
        sgd = torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9, weight_decay=0.001)
        indices = task.split[client]
        sizes = batch_sizes(len(indices), task.local)
        for batch in batch_indices(sizes, len(indices), Rngs(task.seed, (1, client))("batches")):
            x, y = task.batch(task.data.train, indices[batch])
            sgd.zero_grad()
            F.cross_entropy(own(x), y).backward()
            sgd.step()
        for name, value in own.state_dict().items():
            if value.is_floating_point():
                total[name] = total.get(name, 0) + value.double() * len(indices) / n_all
    assert set(merged) == set(total)
    for name, value in total.items():
        np.testing.assert_allclose(merged[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    mean = copy.deepcopy(task.module)
    mean.load_state_dict({k: v.float() for k, v in total.items()}, strict=False)
    x, y = task.batch(task.data.test, slice(None))
    with torch.no_grad():
        outputs = mean.eval()(x)
    _, fleet = toy_fleet(experiment)
    assert not fleet.statistics(merged, 1, [0, 1, 2])
    scores = task.scoring.values(fleet.evaluate(merged, {}, 1))
    assert scores["loss"] == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-4)
    assert scores["accuracy"] == pytest.approx((outputs.argmax(1) == y).float().mean().item(), abs=1.5 / 360)


def test_statistics_travel_and_end_up_in_the_model() -> None:
    """2 x 4 bytes more for each of the 28 channels of the norms, both ways; saved under torch's names."""
    experiment = toy(**RUNNING)
    got = play(2, **RUNNING)
    plain = play(2, **{**RUNNING, "evaluation": {}})
    for with_statistics, without in zip(got.clients, plain.clients, strict=True):
        assert with_statistics.download_bytes == without.download_bytes + 2 * 4 * 28
        assert with_statistics.upload_bytes == without.upload_bytes + 2 * 4 * 28
    saved = final_model(got.task, Progress(2, 20.0, got.states[-1], {}))
    task, _ = toy_fleet(experiment)
    assert not any(
        task.module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in saved.items()}, strict=True)
    )
    assert not np.array_equal(saved["conv1.norm.running_var"], np.ones(4))


def test_parameters_do_not_depend_on_the_policy() -> None:
    """In training mode batch norm uses the batch's statistics whatever is kept beside: the same bytes."""
    running, plain = play(2, **RUNNING), play(2, **{**RUNNING, "evaluation": {}})
    assert {k: v for k, v in running.model.items() if "running" not in k} == plain.model


def test_a_cumulative_average_counts_its_own_client_only() -> None:
    """momentum None: torch divides by the batches tracked since the job began, not since the worker began."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=None), nn.ReLU(), nn.Linear(4, 2))
    engine = Engine(net, find_groups(net, torch.zeros(2, 3)), running=True)
    initial = engine.export()
    x, y = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1, 0, 1, 0])
    exported = []
    for _ in range(2):
        engine.load(initial)
        for batch in x:
            engine.step(batch, y, None, 0.0)
        exported.append(engine.export())
    means = torch.stack([F.linear(b, net[0].weight, net[0].bias).mean(0) for b in x]).mean(0)
    for arrays in exported:
        np.testing.assert_allclose(arrays["1.running_mean"], means.detach(), rtol=1e-5, atol=1e-6)


def test_a_thinned_step_updates_the_kept_channels_only() -> None:
    """Channels 0 and 1 of 4: 0.9 * old + 0.1 * the batch's; channels 2 and 3 keep the initial 0 and 1."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    structure = find_groups(net, torch.zeros(2, 3))
    engine = Engine(net, structure, running=True, dtype=torch.float64)
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    before = F.linear(x, net[0].weight.double(), net[0].bias.double())
    engine.step(x, y, first_mask(structure, (2,)), 0.1)
    arrays = engine.export()
    expected = [*(0.1 * before.mean(0)[:2]).tolist(), 0.0, 0.0]
    np.testing.assert_allclose(arrays["1.running_mean"], expected, rtol=1e-12)
    expected = [*(0.9 + 0.1 * before.var(0)[:2]).tolist(), 1.0, 1.0]
    np.testing.assert_allclose(arrays["1.running_var"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"name": "distreal"}}, "method.name distreal, whose clients train parts of the network"),
        ({"method": {"name": "heterofl"}}, "method.name heterofl, whose clients train parts"),
        ({"method": {"name": "fednova"}}, "method.name fednova, which has a merge of its own"),
        (
            {"method": {"name": "fedavg"}, "merge": {"name": "flower", "strategy": "FedAdam"}},
            "merge.strategy FedAdam",
        ),
    ],
)
def test_refused_where_a_mean_of_statistics_means_nothing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"batch_norm running cannot be used with {message}"):
        toy(evaluation={"batch_norm": "running"}, **changes)


@pytest.mark.parametrize("method", ["fedavg", "small", "fedprox"])
def test_allowed_where_clients_train_the_whole_network(method: str) -> None:
    got = play(1, **{**RUNNING, "method": {"name": method}})
    assert got.rounds[0].test_accuracy is not None
    assert got.rounds[0].test_loss < math.inf
